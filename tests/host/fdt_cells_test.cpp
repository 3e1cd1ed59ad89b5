// SPDX-License-Identifier: BSD-2-Clause
#include "fdt/cells.h"
#include "tests/host/fdt_support.h"

#include <gtest/gtest.h>

namespace spillway::fdt {

namespace {

using test::cells_of;

TEST(FdtCells, ReaderGoesFromCellToCell) {
    const auto bytes = cells_of({1, 0xfffffffe, 3});
    CellReader reader{bytes};
    EXPECT_EQ(reader.cells_left(), 3u);
    EXPECT_EQ(reader.cell(), 1u);
    EXPECT_EQ(reader.cell(), 0xfffffffe);
    EXPECT_EQ(reader.cells_left(), 1u);
    EXPECT_EQ(reader.cell(), 3u);
    EXPECT_EQ(reader.cell(), std::nullopt);
    EXPECT_EQ(reader.cells_left(), 0u);
}

TEST(FdtCells, ReaderIgnoresATailThatIsNoCell) {
    auto bytes = cells_of({1, 2});
    bytes.pop_back();
    CellReader reader{bytes};
    EXPECT_EQ(reader.cell(), 1u);
    EXPECT_EQ(reader.cell(), std::nullopt);
}

TEST(FdtCells, ReaderReadsNumbersOfAnyWidth) {
    const auto bytes = cells_of({0x12, 0x34, 0x56, 0, 0x78, 0x9a});
    CellReader reader{bytes};
    EXPECT_EQ(reader.number(0), 0u);
    EXPECT_EQ(reader.number(1), 0x12u);
    EXPECT_EQ(reader.number(2), 0x3400000056u);
    EXPECT_EQ(reader.number(4), std::nullopt) << "more than there are";
    EXPECT_EQ(reader.cells_left(), 3u);
    EXPECT_EQ(reader.number(3), 0x780000009au) << "three cells, but it fits";
}

TEST(FdtCells, ReaderRefusesNumbersThatDoNotFit) {
    const auto bytes = cells_of({1, 2, 3});
    EXPECT_EQ(CellReader{bytes}.number(3), std::nullopt);
}

TEST(FdtCells, WriterWritesWhatReaderReads) {
    CellWriter<3> writer;
    EXPECT_TRUE(writer.empty());
    writer.cell(1);
    writer.number(0x200000003);
    EXPECT_FALSE(writer.empty());
    EXPECT_FALSE(writer.full());
    EXPECT_EQ(test::to_string(writer.bytes()), test::to_string(cells_of({1, 2, 3})));
}

TEST(FdtCells, WriterSaysWhenSomethingDidNotFit) {
    CellWriter<1> writer;
    writer.number(5);
    EXPECT_TRUE(writer.full());
    EXPECT_EQ(writer.bytes().size(), 4u);
}

} // namespace

} // namespace spillway::fdt
