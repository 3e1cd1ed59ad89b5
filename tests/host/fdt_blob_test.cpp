// SPDX-License-Identifier: BSD-2-Clause
#include "fdt/blob.h"
#include "tests/host/fdt_support.h"

#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <libfdt.h>
#include <map>
#include <random>

namespace spillway::fdt {

namespace {

using namespace test;

BlobBuilder small_tree() {
    BlobBuilder blob;
    blob.begin("").text("model", "test").cells("#address-cells", {2});
    blob.begin("memory@0").text("device_type", "memory").cells("reg", {0, 0, 0, 0x1000}).end();
    blob.begin("chosen").property("empty", {}).end();
    return blob.end();
}

std::string why(const auto& result) {
    return result ? "" : result.error().message;
}

/// Checks, reads, writes and merges whatever the bytes are; what passes the check must come back.
/// The bytes are copied to memory that ends where they end, so that reading on is noticed.
void survive(Bytes bytes) {
    Blob blob{bytes.size()};
    if (!bytes.empty()) std::memcpy(blob.data(), bytes.data(), bytes.size());
    const Result<Bytes> checked = check_blob(blob.data(), blob.size());
    if (!checked) return;
    for_each_reservation(
        *checked, [](PhysicalRange, void*) {}, nullptr);
    blob_property(*checked, "/chosen", "bootargs");
    Tree tree;
    const bool complete = read_blob(*checked, tree).has_value();
    ASSERT_EQ(unsoundness(tree), "");
    Blob out{blob_size_bound(tree, 0)};
    const auto written = write_blob(tree, {}, 0, {out.data(), out.size()});
    ASSERT_TRUE(written) << written.error().message;
    const Result<Bytes> again = check_blob(written->data(), written->size());
    ASSERT_TRUE(again) << again.error().message;
    Tree second;
    ASSERT_TRUE(read_blob(*again, second));
    ASSERT_EQ(second.node_count(), tree.node_count());
    if (complete) {
        const std::string before = picture(tree);
        ASSERT_TRUE(merge_blob(*checked, tree));
        ASSERT_EQ(picture(tree), before) << "the same again changes nothing";
    }
    ASSERT_TRUE(merge_blob(*again, tree));
    ASSERT_EQ(unsoundness(tree), "");
}

Blob file(const char* name) {
    const auto path = std::filesystem::path{__FILE__}.parent_path() / "data" / name;
    Blob blob{std::filesystem::file_size(path)};
    std::ifstream{path, std::ios::binary}.read(reinterpret_cast<char*>(blob.data()),
                                               static_cast<std::streamsize>(blob.size()));
    return blob;
}

// --- check_blob

TEST(FdtCheck, AcceptsASoundBlob) {
    Blob blob = small_tree().build();
    const Result<Bytes> checked = check_blob(blob.data(), largest_blob);
    ASSERT_TRUE(checked) << why(checked);
    EXPECT_EQ(checked->data(), blob.data());
    EXPECT_EQ(checked->size(), blob.size());
}

TEST(FdtCheck, AcceptsAnySizeModuloFour) {
    for (const char* name : {"a", "ab", "abc", "abcd"}) {
        Blob blob = BlobBuilder{}.begin("").cells(name, {1}).end().build();
        EXPECT_TRUE(check_blob(blob.data(), blob.size())) << blob.size();
    }
}

TEST(FdtCheck, AcceptsABlobThatFillsItsRoomButNoLarger) {
    Blob blob = small_tree().build();
    EXPECT_TRUE(check_blob(blob.data(), blob.size()));
    for (size_t size = 0; size < blob.size(); ++size) {
        Blob shorter{size};
        if (size > 0) std::memcpy(shorter.data(), blob.data(), size);
        const Result<Bytes> checked = check_blob(shorter.data(), size);
        ASSERT_FALSE(checked) << size;
        ASSERT_EQ(checked.error().code, ErrorCode::malformed);
    }
}

struct Damage {
    const char* label;
    std::function<void(Blob&)> apply;
    const char* message; ///< a part of it
    ErrorCode code = ErrorCode::malformed;
};

Damage header(const char* label, HeaderField field, uint32_t value, const char* message,
              ErrorCode code = ErrorCode::malformed) {
    return {label, [field, value](Blob& blob) { blob.set_cell(field, value); }, message, code};
}

class FdtCheckRefuses : public testing::TestWithParam<Damage> {};

TEST_P(FdtCheckRefuses, DamagedHeader) {
    Blob blob = small_tree().build();
    GetParam().apply(blob);
    const Result<Bytes> checked = check_blob(blob.data(), blob.size());
    ASSERT_FALSE(checked);
    EXPECT_EQ(checked.error().code, GetParam().code);
    EXPECT_NE(why(checked).find(GetParam().message), std::string::npos) << why(checked);
    survive(blob.bytes());
}
INSTANTIATE_TEST_SUITE_P(
    Headers, FdtCheckRefuses,
    testing::Values(
        header("Magic", header_magic, 0xd00dfeee, "magic number 0xd00dfeee, not 0xd00dfeed"),
        header("MagicOtherEnd", header_magic, 0xedfe0dd0, "magic"),
        header("UnfinishedMagic", header_magic, ~0xd00dfeedu, "magic"),
        header("Version16", header_version, 16, "version 16", ErrorCode::unsupported),
        header("Version18", header_version, 18, "version 18", ErrorCode::unsupported),
        header("Version0", header_version, 0, "version 0", ErrorCode::unsupported),
        header("Compatible17", header_compatible, 17, "with 17", ErrorCode::unsupported),
        header("Compatible15", header_compatible, 15, "with 15", ErrorCode::unsupported),
        header("SizeHuge", header_total_size, 0xffffffff, "more than"),
        header("SizeTooLarge", header_total_size, 0x1000, "more than"),
        header("SizeZero", header_total_size, 0, "TRUNCATED"),
        header("SizeOfHeader", header_total_size, 40, "TRUNCATED"),
        header("StructureOdd", header_structure, 58, "aligned"),
        header("StructureInHeader", header_structure, 0, "TRUNCATED"),
        header("StructureOutside", header_structure, 0x10000, "TRUNCATED"),
        header("StructureWraps", header_structure, 0xfffffffc, "TRUNCATED"),
        header("StructureSizeHuge", header_structure_size, 0xffffffff, "TRUNCATED"),
        header("StructureSizeZero", header_structure_size, 0, "TRUNCATED"),
        header("StringsOutside", header_strings, 0x10000, "TRUNCATED"),
        header("StringsSizeHuge", header_strings_size, 0xfffffff0, "TRUNCATED"),
        header("StringsSizeZero", header_strings_size, 0, "BADOFFSET"),
        header("StringsUnterminated", header_strings_size, 5, "TRUNCATED"),
        header("ReservationsOdd", header_reservations, 44, "aligned"),
        header("ReservationsOutside", header_reservations, 0x10000, "TRUNCATED"),
        header("ReservationsWrap", header_reservations, 0xfffffff8, "TRUNCATED")),
    [](const auto& each) { return each.param.label; });

TEST(FdtCheck, RefusesAMisalignedBlob) {
    Blob blob = small_tree().build();
    Blob moved{blob.size() + 8};
    std::memcpy(moved.data() + 4, blob.data(), blob.size());
    const Result<Bytes> checked = check_blob(moved.data() + 4, blob.size());
    ASSERT_FALSE(checked);
    EXPECT_NE(why(checked).find("8-byte aligned"), std::string::npos);
}

TEST(FdtCheck, RefusesAReservationMapWithoutEnd) {
    Blob blob = small_tree().build();
    for (size_t offset = 40; offset + 4 <= blob.size(); offset += 4)
        blob.set_cell(offset, 1);
    EXPECT_FALSE(check_blob(blob.data(), blob.size()));
}

struct Shape {
    const char* label;
    std::function<BlobBuilder()> build;
    bool complete = true; ///< ends with the end token
};

class FdtCheckRefusesShape : public testing::TestWithParam<Shape> {};

TEST_P(FdtCheckRefusesShape, BrokenStructure) {
    Blob blob = GetParam().build().build(GetParam().complete);
    EXPECT_FALSE(check_blob(blob.data(), blob.size()));
    survive(blob.bytes());
}
INSTANTIATE_TEST_SUITE_P(
    Shapes, FdtCheckRefusesShape,
    testing::Values(
        Shape{"NoEndToken", small_tree, false},
        Shape{"EndsInNode", [] { return BlobBuilder{}.begin("").begin("a"); }},
        Shape{"NamedRoot", [] { return BlobBuilder{}.begin("root").end(); }},
        Shape{"TwoRoots", [] { return BlobBuilder{}.begin("").end().begin("").end(); }},
        Shape{"EndWithoutBegin", [] { return BlobBuilder{}.begin("").end().end(); }},
        Shape{"UnknownToken", [] { return BlobBuilder{}.begin("").token(5).end(); }},
        Shape{"HugeProperty",
              [] { return BlobBuilder{}.begin("").token(3).token(0x7fffffff).token(0); }},
        Shape{"WrappingProperty",
              [] { return BlobBuilder{}.begin("").token(3).token(0xfffffff8).token(0); }},
        Shape{"PropertyNameOutside",
              [] { return BlobBuilder{}.begin("").token(3).token(0).token(99).end(); }},
        Shape{"PropertyNameNegative",
              [] { return BlobBuilder{}.begin("").token(3).token(0).token(~0u).end(); }},
        Shape{"UnterminatedNodeName",
              [] { return BlobBuilder{}.begin("").token(1).token(0x61616161); }, false}),
    [](const auto& each) { return each.param.label; });

TEST(FdtCheck, SurvivesTheBlobWithAnAliasLoop) {
    Blob blob = file("fdt-alias-loop-602.bin");
    ASSERT_EQ(blob.size(), 602u);
    survive(blob.bytes());
    blob_property(blob.bytes(), "/", "model");
    EXPECT_TRUE(blob_property(blob.bytes(), "a", "model").empty()) << "no aliases";
}

TEST(FdtCheck, SurvivesTheBlobThatCrashedTheFullCheck) {
    Blob blob = file("fdt-checkfull-null-954.bin");
    ASSERT_EQ(blob.size(), 954u);
    survive(blob.bytes());
}

// --- blob_property and reservations

TEST(FdtBlobProperty, AnswersWithoutATree) {
    Blob blob = small_tree().build();
    EXPECT_EQ(to_string(blob_property(blob.bytes(), "/", "model")), std::string("test\0", 5));
    EXPECT_EQ(blob_property(blob.bytes(), "/memory@0", "reg").size(), 16u);
    EXPECT_EQ(blob_property(blob.bytes(), "/memory", "reg").size(), 16u);
    EXPECT_TRUE(blob_property(blob.bytes(), "/chosen", "empty").empty());
    EXPECT_TRUE(blob_property(blob.bytes(), "/chosen", "absent").empty());
    EXPECT_TRUE(blob_property(blob.bytes(), "/absent", "model").empty());
    EXPECT_TRUE(blob_property(blob.bytes(), "chosen", "model").empty());
    EXPECT_TRUE(blob_property(blob.bytes(), "", "model").empty());
}

TEST(FdtBlobProperty, FollowsNoAliases) {
    BlobBuilder builder;
    builder.begin("").begin("aliases").text("a", "/b").end().begin("b").text("p", "v").end().end();
    Blob blob = builder.build();
    EXPECT_FALSE(blob_property(blob.bytes(), "/b", "p").empty());
    EXPECT_TRUE(blob_property(blob.bytes(), "a", "p").empty());
}

std::vector<PhysicalRange> reservations_of(Bytes blob) {
    std::vector<PhysicalRange> ranges;
    for_each_reservation(
        blob,
        [](PhysicalRange range, void* context) {
            static_cast<std::vector<PhysicalRange>*>(context)->push_back(range);
        },
        &ranges);
    return ranges;
}

TEST(FdtReservations, AreVisitedInOrder) {
    Blob none = small_tree().build();
    EXPECT_TRUE(reservations_of(none.bytes()).empty());
    Blob blob = small_tree().reservation(0x1000, 0x2000).reservation(1ull << 40, 1).build();
    ASSERT_TRUE(check_blob(blob.data(), blob.size()));
    EXPECT_EQ(reservations_of(blob.bytes()),
              (std::vector<PhysicalRange>{{{0x1000}, 0x2000}, {{1ull << 40}, 1}}));
}

// --- read_blob

class FdtRead : public testing::Test {
protected:
    Result<void> read(const BlobBuilder& builder) {
        Blob blob = builder.build();
        const Result<Bytes> checked = check_blob(blob.data(), blob.size());
        EXPECT_TRUE(checked) << why(checked);
        return read_blob(*checked, tree);
    }
    void TearDown() override { EXPECT_EQ(unsoundness(tree), ""); }

    Tree tree;
};

TEST_F(FdtRead, KeepsOrderAndOrigin) {
    ASSERT_TRUE(read(small_tree()));
    EXPECT_EQ(picture(tree), "/ =0 <1>\n  model =0 7465737400\n  #address-cells =0 00000002\n"
                             "/memory@0 =0 <2>\n  device_type =0 6d656d6f727900\n"
                             "  reg =0 00000000000000000000000000001000\n"
                             "/chosen =0 <3>\n  empty =0 \n");
}

TEST_F(FdtRead, CopiesEverything) {
    Blob blob = machine_blob(20, 2);
    ASSERT_TRUE(read_blob(blob.bytes(), tree));
    const std::string before = picture(tree);
    std::memset(blob.data(), 0xff, blob.size());
    EXPECT_EQ(picture(tree), before);
}

TEST_F(FdtRead, PassesOverNoOperationTokens) {
    ASSERT_TRUE(read(BlobBuilder{}
                         .token(4)
                         .begin("")
                         .token(4)
                         .token(4)
                         .cells("a", {1})
                         .token(4)
                         .begin("b")
                         .token(4)
                         .end()
                         .token(4)
                         .end()));
    EXPECT_EQ(tree.cell(*tree.root(), "a", 0), 1u);
    EXPECT_NE(tree.find("/b"), nullptr);
}

TEST_F(FdtRead, KeepsPhandlesAndGivesTheOthersTheirOwn) {
    ASSERT_TRUE(read(BlobBuilder{}
                         .begin("")
                         .begin("a")
                         .end()
                         .begin("b")
                         .cells("phandle", {2})
                         .end()
                         .begin("c")
                         .cells("linux,phandle", {0x1111})
                         .end()
                         .begin("d")
                         .cells("phandle", {1})
                         .cells("linux,phandle", {1})
                         .end()
                         .end()));
    EXPECT_EQ(tree.phandle(*tree.find("/b")), Phandle{2});
    EXPECT_EQ(tree.phandle(*tree.find("/c")), Phandle{0x1111});
    EXPECT_EQ(tree.phandle(*tree.root()), Phandle{3}) << "had 1";
    EXPECT_EQ(tree.phandle(*tree.find("/a")), Phandle{4});
    EXPECT_EQ(tree.cell(*tree.find("/c"), "linux,phandle", 0), 0x1111u) << "stays a property";
}

TEST_F(FdtRead, GivesTheSamePhandlesEachTime) {
    Blob blob = machine_blob(30, 3);
    ASSERT_TRUE(read_blob(blob.bytes(), tree));
    Tree second;
    ASSERT_TRUE(read_blob(blob.bytes(), second));
    EXPECT_EQ(picture(second), picture(tree));
    EXPECT_EQ(tree.phandle(*tree.find("/interrupt-controller")), Phandle{0x1111});
}

TEST_F(FdtRead, RootMayHaveAPhandle) {
    ASSERT_TRUE(read(BlobBuilder{}.begin("").cells("phandle", {9}).begin("a").end().end()));
    EXPECT_EQ(tree.phandle(*tree.root()), Phandle{9});
    EXPECT_EQ(tree.find(Phandle{9}), tree.root());
}

TEST_F(FdtRead, ANodeNamedPhandleReservesNoNumber) {
    ASSERT_TRUE(read(BlobBuilder{}.begin("").cells("reg", {2}).begin("phandle").end().end()));
    EXPECT_EQ(tree.phandle(*tree.find("/phandle")), Phandle{2});
}

TEST_F(FdtRead, AMalformedPhandleReservesNoNumber) {
    EXPECT_FALSE(read(BlobBuilder{}.begin("").begin("a").cells("phandle", {1, 2}).end().end()));
    EXPECT_EQ(tree.phandle(*tree.root()), Phandle{1}) << "it keeps its own";
}

TEST_F(FdtRead, ReadsTheDeepestNode) {
    BlobBuilder blob;
    blob.begin("");
    for (unsigned depth = 0; depth < deepest_node; ++depth)
        blob.begin("d");
    blob.cells("p", {1});
    for (unsigned depth = 0; depth <= deepest_node; ++depth)
        blob.end();
    ASSERT_TRUE(read(blob));
    EXPECT_EQ(tree.node_count(), deepest_node + 1);
    EXPECT_EQ(tree.property_count(), 1u);
}

struct BadTree {
    const char* label;
    std::function<void(BlobBuilder&)> fill; ///< the root
    const char* message;
};

class FdtReadRefuses : public testing::TestWithParam<BadTree> {};

TEST_P(FdtReadRefuses, WhatNoTreeCanBe) {
    BlobBuilder builder;
    builder.begin("");
    GetParam().fill(builder);
    Blob blob = builder.end().build();
    const Result<Bytes> checked = check_blob(blob.data(), blob.size());
    ASSERT_TRUE(checked) << why(checked);
    Tree tree;
    const Result<void> read = read_blob(*checked, tree);
    ASSERT_FALSE(read);
    EXPECT_NE(read.error().code, ErrorCode::out_of_memory);
    EXPECT_EQ(why(read), GetParam().message);
    EXPECT_EQ(unsoundness(tree), "");
    survive(blob.bytes());

    Blob sound = small_tree().build();
    Tree other;
    ASSERT_TRUE(read_blob(sound.bytes(), other));
    const std::string before = picture(other);
    EXPECT_FALSE(merge_blob(*checked, other));
    EXPECT_EQ(picture(other), before) << "merging it changes nothing";
}
INSTANTIATE_TEST_SUITE_P(
    Trees, FdtReadRefuses,
    testing::Values(
        BadTree{"SiblingsOfOneName",
                [](BlobBuilder& b) { b.begin("a@1").end().begin("b").end().begin("a@1").end(); },
                "/a@1: there is such a node already"},
        BadTree{"SiblingsOfOneNameInTwoCases",
                [](BlobBuilder& b) { b.begin("a@b").end().begin("a@B").end(); },
                "/a@b: there is such a node already"},
        BadTree{"TwoPropertiesOfOneName",
                [](BlobBuilder& b) {
                    b.begin("cpus").cells("reg", {1}).cells("x", {2}).cells("reg", {3}).end();
                },
                "/cpus: there are two properties reg"},
        BadTree{"NamelessNode", [](BlobBuilder& b) { b.begin("a").begin("").end().end(); },
                "/a: a child cannot have the name \"\""},
        BadTree{"NodeWithSlash", [](BlobBuilder& b) { b.begin("a/b").end(); },
                "/: a child cannot have the name \"a/b\""},
        BadTree{"NodeWithControlCharacter", [](BlobBuilder& b) { b.begin("a\x7f").end(); },
                "/: a child cannot have the name \"a?\""},
        BadTree{"NodeWithLongName", [](BlobBuilder& b) { b.begin(std::string(256, 'n')).end(); },
                "/: a child cannot have the name \"nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn\""},
        BadTree{"NamelessProperty", [](BlobBuilder& b) { b.cells("", {1}); },
                "/: a property cannot have the name \"\""},
        BadTree{"PropertyWithLongName", [](BlobBuilder& b) { b.cells(std::string(300, 'p'), {1}); },
                "/: a property cannot have the name \"pppppppppppppppppppppppppppppppp\""},
        BadTree{"PropertyAfterChild", [](BlobBuilder& b) { b.begin("a").end().cells("late", {1}); },
                "/: property late comes after a child"},
        BadTree{"TwoNodesOfOnePhandle",
                [](BlobBuilder& b) {
                    b.begin("a").cells("phandle", {7}).end();
                    b.begin("b").cells("phandle", {7}).end();
                },
                "/b: the phandle 0x7 is that of another node, a"},
        BadTree{"TwoNodesOfOneOldPhandle",
                [](BlobBuilder& b) {
                    b.begin("a").cells("phandle", {7}).end();
                    b.begin("b").cells("linux,phandle", {7}).end();
                },
                "/b: the phandle 0x7 is that of another node, a"},
        BadTree{"PhandleNone", [](BlobBuilder& b) { b.begin("a").cells("phandle", {0}).end(); },
                "/a: no node can have the phandle 0x0"},
        BadTree{"PhandleAllOnes",
                [](BlobBuilder& b) { b.begin("a").cells("linux,phandle", {~0u}).end(); },
                "/a: no node can have the phandle 0xffffffff"},
        BadTree{"PhandleShort",
                [](BlobBuilder& b) { b.begin("a").property("phandle", bytes_of("abc")).end(); },
                "/a: phandle has 3 bytes, not 4"},
        BadTree{"PhandleOfTwoCells",
                [](BlobBuilder& b) {
                    b.begin("a").cells("phandle", {1, 2}).end();
                },
                "/a: phandle has 8 bytes, not 4"},
        BadTree{"PhandlesDiffer",
                [](BlobBuilder& b) {
                    b.begin("a").cells("phandle", {1}).cells("linux,phandle", {2}).end();
                },
                "/a: phandle and linux,phandle differ"},
        BadTree{"DepthBomb",
                [](BlobBuilder& b) {
                    for (int i = 0; i < 1000; ++i)
                        b.begin("d");
                    for (int i = 0; i < 1000; ++i)
                        b.end();
                },
                "/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d: "
                "nodes may be 64 levels deep, not more"}),
    [](const auto& each) { return each.param.label; });

TEST(FdtReadOutside, RefusesWhatHasNoRoot) {
    for (const BlobBuilder& builder :
         {BlobBuilder{}, BlobBuilder{}.cells("stray", {1}).begin("").end()}) {
        Blob blob = builder.build();
        const Result<Bytes> checked = check_blob(blob.data(), blob.size());
        if (!checked) continue; // as well
        Tree tree;
        const Result<void> read = read_blob(*checked, tree);
        ASSERT_FALSE(read);
        EXPECT_EQ(read.error().code, ErrorCode::malformed);
    }
}

// --- write_blob

std::string written_picture(const Tree& tree) {
    Blob out{blob_size_bound(tree, 0)};
    const auto written = write_blob(tree, {}, 0, {out.data(), out.size()});
    EXPECT_TRUE(written) << why(written);
    const Result<Bytes> checked = check_blob(written->data(), written->size());
    EXPECT_TRUE(checked) << why(checked);
    Tree again;
    EXPECT_TRUE(read_blob(*checked, again));
    return picture(again);
}

TEST(FdtWrite, MakesAPackedVersion17Blob) {
    Blob in = machine_blob(3, 1);
    Tree tree;
    ASSERT_TRUE(read_blob(in.bytes(), tree));
    Blob out{blob_size_bound(tree, 2)};
    const PhysicalRange ranges[] = {{{0x1000}, 0x2000}, {{0x5000}, 0}, {{1ull << 33}, 1ull << 34}};
    const auto written = write_blob(tree, ranges, 0x20, {out.data(), out.size()});
    ASSERT_TRUE(written) << why(written);
    EXPECT_EQ(written->data(), out.data());
    EXPECT_EQ(out.cell(header_total_size), written->size());
    EXPECT_EQ(out.cell(header_version), 17u);
    EXPECT_EQ(out.cell(header_compatible), 16u);
    EXPECT_EQ(out.cell(header_boot_cpu), 0x20u);
    EXPECT_EQ(out.cell(header_structure) + out.cell(header_structure_size),
              out.cell(header_strings));
    EXPECT_EQ(out.cell(header_strings) + out.cell(header_strings_size), written->size());
    const Result<Bytes> checked = check_blob(written->data(), written->size());
    ASSERT_TRUE(checked) << why(checked);
    EXPECT_EQ(reservations_of(*checked),
              (std::vector<PhysicalRange>{{{0x1000}, 0x2000}, {{1ull << 33}, 1ull << 34}}))
        << "an empty one would end the map";
}

TEST(FdtWrite, GivesEveryNodeItsPhandleOnce) {
    Blob in = small_tree().build();
    Tree tree;
    ASSERT_TRUE(read_blob(in.bytes(), tree));
    Node& chosen = *tree.find("/chosen");
    ASSERT_TRUE(tree.set_cells(chosen, "phandle", {0xdead}, Origin::client)) << "not the identity";
    Blob out{blob_size_bound(tree, 0)};
    const auto written = write_blob(tree, {}, 0, {out.data(), out.size()});
    ASSERT_TRUE(written);
    for (const char* path : {"/", "/memory@0", "/chosen"}) {
        const Bytes value = blob_property(*written, path, "phandle");
        ASSERT_EQ(value.size(), 4u);
        EXPECT_EQ(Phandle{uint32_t{load<Big32>(value.data())}}, tree.phandle(*tree.find(path)));
    }
    Tree again;
    EXPECT_TRUE(read_blob(*check_blob(written->data(), written->size()), again));
}

TEST(FdtWrite, WritesEachNameOnce) {
    Blob in = machine_blob(50, 10);
    Tree tree;
    ASSERT_TRUE(read_blob(in.bytes(), tree));
    Blob out{blob_size_bound(tree, 0)};
    const auto written = write_blob(tree, {}, 0, {out.data(), out.size()});
    ASSERT_TRUE(written);
    const char* const strings =
        reinterpret_cast<const char*>(written->data()) + out.cell(header_strings);
    std::map<std::string, int> seen;
    for (size_t at = 0; at < out.cell(header_strings_size);) {
        const std::string name = strings + at;
        EXPECT_EQ(++seen[name], 1) << name;
        at += name.size() + 1;
    }
    EXPECT_EQ(seen.size(), 27u);
}

class FdtRoundTrip : public testing::TestWithParam<unsigned> {};

TEST_P(FdtRoundTrip, BlobTreeBlobTree) {
    Blob in = machine_blob(GetParam(), GetParam() / 2);
    const Result<Bytes> checked = check_blob(in.data(), in.size());
    ASSERT_TRUE(checked) << why(checked);
    Tree tree;
    ASSERT_TRUE(read_blob(*checked, tree));
    EXPECT_EQ(unsoundness(tree), "");
    Blob out{blob_size_bound(tree, 1)};
    const PhysicalRange range{{0x1000}, 0x2000};
    const auto written = write_blob(tree, {&range, 1}, 0, {out.data(), out.size()});
    ASSERT_TRUE(written) << why(written);
    EXPECT_LT(written->size(), in.size() * 3 / 2) << "the hypervisor takes twice its own at most";
    EXPECT_LE(out.size(), written->size() + 64 * tree.node_count()) << "the bound is not far off";

    Tree second;
    ASSERT_TRUE(read_blob(*check_blob(written->data(), written->size()), second));
    Blob out2{blob_size_bound(second, 1)};
    const auto again = write_blob(second, {&range, 1}, 0, {out2.data(), out2.size()});
    ASSERT_TRUE(again);
    ASSERT_EQ(again->size(), written->size());
    EXPECT_EQ(std::memcmp(again->data(), written->data(), written->size()), 0);
}
INSTANTIATE_TEST_SUITE_P(Functions, FdtRoundTrip, testing::Values(0, 1, 7, 50, 300, 1000));

TEST(FdtWrite, LosesNothingOfATree) {
    Blob in = machine_blob(5, 2);
    Tree tree;
    ASSERT_TRUE(read_blob(in.bytes(), tree));
    Node& node = **tree.add(*tree.root(), std::string(200, 'n') + "@AB", Origin::hypervisor);
    ASSERT_TRUE(tree.set(node, std::string(255, 'p'), bytes_of(std::string(70001, 'v')),
                         Origin::hypervisor));
    ASSERT_TRUE(tree.set(node, "empty", {}, Origin::hypervisor));
    tree.remove(*tree.find("/memory@0"));
    for (Node* at = tree.root(); at != nullptr; at = tree.next(*at, *tree.root())) {
        // The blob says it, so the tree must, to be equal.
        if (!tree.has(*at, "phandle")) {
            ASSERT_TRUE(
                tree.set_cells(*at, "phandle", {uint32_t(tree.phandle(*at))}, Origin::hypervisor));
        }
    }
    EXPECT_EQ(written_picture(tree), picture(tree));
}

TEST(FdtWrite, FailsInABufferThatIsTooSmall) {
    Blob in = small_tree().build();
    Tree tree;
    ASSERT_TRUE(read_blob(in.bytes(), tree));
    Blob out{blob_size_bound(tree, 0)};
    const size_t size = write_blob(tree, {}, 0, {out.data(), out.size()})->size();
    for (size_t room = 0; room < size; ++room) {
        Blob smaller{room};
        const auto written = write_blob(tree, {}, 0, {smaller.data(), room});
        ASSERT_FALSE(written) << room;
        ASSERT_EQ(written.error().code, ErrorCode::out_of_range);
    }
    EXPECT_TRUE(write_blob(tree, {}, 0, {out.data(), size + 1})) << "the bound is generous";
}

TEST(FdtWrite, RefusesAMisalignedBuffer) {
    Tree tree;
    Blob out{200};
    EXPECT_EQ(write_blob(tree, {}, 0, {out.data() + 4, 190}).error().code, ErrorCode::malformed);
}

TEST(FdtWrite, WritesAnEmptyTree) {
    Tree tree;
    Blob out{blob_size_bound(tree, 0)};
    const auto written = write_blob(tree, {}, 0, {out.data(), out.size()});
    ASSERT_TRUE(written) << why(written);
    EXPECT_EQ(to_string(blob_property(*written, "/", "phandle")), std::string("\0\0\0\1", 4));
}

TEST(FdtWrite, LibfdtReadsIt) {
    Blob in = machine_blob(40, 4);
    Tree tree;
    ASSERT_TRUE(read_blob(in.bytes(), tree));
    Blob out{blob_size_bound(tree, 0)};
    const auto written = write_blob(tree, {}, 0, {out.data(), out.size()});
    ASSERT_TRUE(written);
    const void* const fdt = written->data();
    EXPECT_EQ(fdt_check_full(fdt, written->size()), 0);
    for (const Node* node = tree.root(); node != nullptr; node = tree.next(*node, *tree.root())) {
        const int offset = fdt_node_offset_by_phandle(fdt, uint32_t(tree.phandle(*node)));
        ASSERT_GE(offset, 0) << path_of(tree, *node);
        EXPECT_EQ(fdt_get_name(fdt, offset, nullptr), tree.name(*node));
        for (const Property* property = tree.first_property(*node); property != nullptr;
             property = tree.next_property(*property)) {
            int length = 0;
            const void* const value =
                fdt_getprop(fdt, offset, tree.name(*property).data(), &length);
            ASSERT_NE(value, nullptr);
            const std::string_view text{static_cast<const char*>(value),
                                        static_cast<size_t>(length)};
            EXPECT_EQ(text, to_string(tree.value(*property)));
        }
    }
}

TEST(FdtReadOutside, ReadsWhatLibfdtWrites) {
    Blob blob{4096};
    void* const fdt = blob.data();
    ASSERT_EQ(fdt_create(fdt, 4096), 0);
    ASSERT_EQ(fdt_finish_reservemap(fdt), 0);
    ASSERT_EQ(fdt_begin_node(fdt, ""), 0);
    ASSERT_EQ(fdt_property_string(fdt, "model", "x"), 0);
    ASSERT_EQ(fdt_begin_node(fdt, "memory@0"), 0);
    ASSERT_EQ(fdt_property_u32(fdt, "reg", 7), 0);
    ASSERT_EQ(fdt_end_node(fdt), 0);
    ASSERT_EQ(fdt_end_node(fdt), 0);
    ASSERT_EQ(fdt_finish(fdt), 0);
    ASSERT_EQ(fdt_open_into(fdt, fdt, 4096), 0);
    const int memory = fdt_path_offset(fdt, "/memory@0");
    ASSERT_EQ(fdt_setprop_u32(fdt, memory, "later", 8), 0);
    for (const bool packed : {false, true}) {
        if (packed) {
            ASSERT_EQ(fdt_pack(fdt), 0);
        }
        const Result<Bytes> checked = check_blob(blob.data(), blob.size());
        ASSERT_TRUE(checked) << why(checked);
        Tree tree;
        ASSERT_TRUE(read_blob(*checked, tree));
        EXPECT_EQ(tree.text(*tree.root(), "model"), "x");
        EXPECT_EQ(tree.cell(*tree.find("/memory@0"), "reg", 0), 7u);
        EXPECT_EQ(tree.cell(*tree.find("/memory@0"), "later", 0), 8u);
    }
}

// --- merge_blob

class FdtMerge : public testing::Test {
protected:
    void SetUp() override {
        Blob blob = machine_blob(6, 3);
        ASSERT_TRUE(read_blob(blob.bytes(), tree));
    }
    Result<void> merge(const BlobBuilder& builder) {
        Blob blob = builder.build();
        const Result<Bytes> checked = check_blob(blob.data(), blob.size());
        EXPECT_TRUE(checked) << why(checked);
        return merge_blob(*checked, tree);
    }
    Result<void> merge_negotiated() {
        Blob blob = machine_blob(6, 3, true);
        return merge_blob(blob.bytes(), tree);
    }
    Node& at(std::string_view path) {
        Node* const node = tree.find(path);
        EXPECT_NE(node, nullptr) << path;
        return node == nullptr ? *tree.root() : *node;
    }
    void TearDown() override { EXPECT_EQ(unsoundness(tree), ""); }

    Tree tree;
};

TEST_F(FdtMerge, TheSameBlobChangesNothing) {
    const std::string before = picture(tree);
    Blob blob = machine_blob(6, 3);
    ASSERT_TRUE(merge_blob(blob.bytes(), tree));
    ASSERT_TRUE(merge_blob(blob.bytes(), tree));
    EXPECT_EQ(picture(tree), before);
}

TEST_F(FdtMerge, InterruptControllerChangesPlacesWithItsPhandle) {
    Node* const old = &at("/interrupt-controller");
    EXPECT_EQ(tree.find(Phandle{0x1111}), old);
    ASSERT_TRUE(merge_negotiated());
    Node& controller = at("/interrupt-controller@60302031b0000");
    EXPECT_EQ(tree.find(Phandle{0x1111}), &controller);
    EXPECT_EQ(tree.find("/interrupt-controller"), &controller) << "by base name now";
    EXPECT_EQ(tree.cell(controller, "linux,phandle", 0), 0x1111u);
    Blob back = machine_blob(6, 3);
    ASSERT_TRUE(merge_blob(back.bytes(), tree));
    EXPECT_EQ(tree.name(at("/interrupt-controller")), "interrupt-controller");
    EXPECT_EQ(tree.find("/interrupt-controller@60302031b0000"), nullptr);
}

TEST_F(FdtMerge, ChosenKeepsItsBootWords) {
    ASSERT_TRUE(merge_negotiated());
    const Node& chosen = at("/chosen");
    EXPECT_EQ(tree.text(chosen, "bootargs"), "quiet");
    EXPECT_EQ(tree.cell(chosen, "linux,initrd-start", 0), 0x3000000u);
    EXPECT_EQ(to_string(tree.value(chosen, "ibm,architecture-vec-5")), "abcd") << "new value";
}

TEST_F(FdtMerge, ChosenKeepsItsChildrenEvenWhenItVanishes) {
    ASSERT_TRUE(tree.add(at("/chosen"), "below", Origin::hypervisor));
    ASSERT_TRUE(tree.set_text(at("/chosen/below"), "p", "v", Origin::hypervisor));
    ASSERT_TRUE(merge(BlobBuilder{}.begin("").end()));
    EXPECT_EQ(tree.text(at("/chosen"), "bootargs"), "quiet");
    EXPECT_EQ(tree.text(at("/chosen/below"), "p"), "v");
    EXPECT_EQ(tree.node_count(), 3u);
}

TEST_F(FdtMerge, OnlyTheRootsChosenIsSpecial) {
    ASSERT_TRUE(tree.add(at("/cpus"), "chosen", Origin::hypervisor));
    ASSERT_TRUE(tree.add(at("/"), "chosen@1", Origin::hypervisor));
    ASSERT_TRUE(merge_negotiated());
    EXPECT_EQ(tree.find("/cpus/chosen"), nullptr);
    EXPECT_EQ(tree.find("/chosen@1"), nullptr);
}

TEST_F(FdtMerge, SetsChangedAndRemovesVanishedProperties) {
    ASSERT_TRUE(tree.set_text(at("/cpus"), "vanishes", "v", Origin::hypervisor));
    ASSERT_TRUE(merge_negotiated());
    EXPECT_FALSE(tree.has(at("/cpus"), "vanishes"));
    EXPECT_EQ(tree.value(at("/cpus/PowerPC,POWER9@1"), "ibm,pa-features").size(), 66u);
}

TEST_F(FdtMerge, PhandlesOfWhatStaysStay) {
    const Phandle pci = tree.phandle(at("/pci@800000020000000/ethernet@0,3"));
    const Phandle cpu = tree.phandle(at("/cpus/PowerPC,POWER9@2"));
    Node* const node = &at("/pci@800000020000000/ethernet@0,3");
    ASSERT_TRUE(merge_negotiated());
    EXPECT_EQ(tree.find(pci), node);
    EXPECT_EQ(tree.find(cpu), &at("/cpus/PowerPC,POWER9@2"));
}

TEST_F(FdtMerge, WhatOthersAddedStays) {
    Node& ethernet = at("/pci@800000020000000/ethernet@0,3");
    ASSERT_TRUE(tree.set_cells(ethernet, "assigned-addresses", {1, 2, 3}, Origin::firmware));
    ASSERT_TRUE(tree.add(ethernet, "below", Origin::firmware));
    ASSERT_TRUE(tree.add(at("/"), "openprom", Origin::firmware));
    ASSERT_TRUE(tree.set_text(at("/openprom"), "model", "m", Origin::firmware));
    ASSERT_TRUE(tree.add(at("/"), "client", Origin::client));
    ASSERT_TRUE(tree.set_cells(at("/cpus"), "clients", {1}, Origin::client));
    ASSERT_TRUE(merge_negotiated());
    EXPECT_EQ(tree.value(ethernet, "assigned-addresses").size(), 12u);
    EXPECT_NE(tree.find("/pci@800000020000000/ethernet@0,3/below"), nullptr);
    EXPECT_EQ(tree.text(at("/openprom"), "model"), "m");
    EXPECT_NE(tree.find("/client"), nullptr);
    EXPECT_TRUE(tree.has(at("/cpus"), "clients"));
}

TEST_F(FdtMerge, WhatOthersHaveWrittenSinceIsTheirs) {
    Node& cpu = at("/cpus/PowerPC,POWER9@1");
    ASSERT_TRUE(tree.set_cells(cpu, "reg", {77}, Origin::client));
    ASSERT_TRUE(tree.set_cells(cpu, "ibm,pa-features", {78}, Origin::firmware));
    ASSERT_TRUE(merge_negotiated());
    EXPECT_EQ(tree.cell(cpu, "reg", 0), 77u);
    EXPECT_EQ(tree.origin(*tree.property(cpu, "reg")), Origin::client);
    EXPECT_EQ(tree.cell(cpu, "ibm,pa-features", 0), 78u);
    ASSERT_TRUE(
        merge(BlobBuilder{}.begin("").begin("cpus").begin("PowerPC,POWER9@1").end().end().end()));
    EXPECT_EQ(tree.cell(cpu, "reg", 0), 77u);
}

TEST_F(FdtMerge, VanishedNodesTakeAllBelowAlong) {
    ASSERT_TRUE(tree.add(at("/cpus/PowerPC,POWER9@2"), "firmwares", Origin::firmware));
    Blob fewer = machine_blob(4, 2, true);
    ASSERT_TRUE(merge_blob(fewer.bytes(), tree));
    EXPECT_EQ(tree.find("/cpus/PowerPC,POWER9@2"), nullptr);
    EXPECT_EQ(tree.find("/pci@800000020000000/ethernet@0,4"), nullptr);
    EXPECT_EQ(tree.find("/pci@800000020000000/ethernet@0,5"), nullptr);
    EXPECT_NE(tree.find("/pci@800000020000000/ethernet@0,3"), nullptr);
}

TEST_F(FdtMerge, NewNodesComeWithPhandlesOfTheirOwn) {
    const size_t nodes = tree.node_count();
    Blob more = machine_blob(9, 5, true);
    ASSERT_TRUE(merge_blob(more.bytes(), tree));
    EXPECT_EQ(tree.node_count(), nodes + 5);
    EXPECT_EQ(tree.origin(at("/cpus/PowerPC,POWER9@4")), Origin::hypervisor);
    EXPECT_EQ(tree.value(at("/pci@800000020000000/ethernet@1,0"), "reg").size(), 40u);
}

TEST_F(FdtMerge, NewNodesTakeTheNextPhandles) {
    const uint32_t last = uint32_t(tree.phandle(**tree.add(at("/"), "last", Origin::firmware)));
    Blob more = machine_blob(9, 5);
    ASSERT_TRUE(merge_blob(more.bytes(), tree));
    EXPECT_EQ(tree.phandle(at("/cpus/PowerPC,POWER9@3")), Phandle{last + 1});
}

TEST_F(FdtMerge, PropertiesKeepTheirPlaces) {
    ASSERT_TRUE(tree.set_cells(at("/cpus"), "clients", {1}, Origin::client));
    const std::string before = picture(tree);
    Blob blob = machine_blob(6, 3);
    ASSERT_TRUE(merge_blob(blob.bytes(), tree));
    EXPECT_EQ(picture(tree), before);
}

TEST_F(FdtMerge, NodesBelowNewNodesAreAdded) {
    ASSERT_TRUE(merge(BlobBuilder{}
                          .begin("")
                          .begin("a")
                          .begin("b")
                          .begin("c")
                          .cells("p", {1})
                          .end()
                          .end()
                          .end()
                          .begin("d")
                          .end()
                          .end()));
    EXPECT_EQ(tree.cell(at("/a/b/c"), "p", 0), 1u);
    EXPECT_NE(tree.find("/d"), nullptr);
    EXPECT_EQ(tree.node_count(), 6u) << "with /chosen";
}

TEST_F(FdtMerge, NodesMatchByTheirWholeName) {
    ASSERT_TRUE(merge(BlobBuilder{}.begin("").begin("memory").cells("p", {1}).end().end()));
    EXPECT_EQ(tree.name(at("/memory")), "memory");
    EXPECT_EQ(tree.find("/memory@0"), nullptr) << "is not /memory";
}

TEST_F(FdtMerge, AnExplicitPhandleReplacesOneOfOurs) {
    const Phandle ours = tree.phandle(at("/cpus"));
    ASSERT_TRUE(
        merge(BlobBuilder{}.begin("").begin("cpus").cells("phandle", {0x2222}).end().end()));
    EXPECT_EQ(tree.find(Phandle{0x2222}), &at("/cpus"));
    EXPECT_EQ(tree.find(ours), nullptr);
}

TEST_F(FdtMerge, AnExplicitPhandleThatIsTakenIsAnError) {
    const uint32_t taken = uint32_t(tree.phandle(at("/memory@0")));
    const Result<void> merged = merge(BlobBuilder{}
                                          .begin("")
                                          .begin("cpus")
                                          .cells("phandle", {taken})
                                          .end()
                                          .begin("memory@0")
                                          .end()
                                          .end());
    ASSERT_FALSE(merged);
    EXPECT_EQ(merged.error().code, ErrorCode::malformed);
    EXPECT_NE(why(merged).find("memory@0"), std::string::npos);
}

TEST_F(FdtMerge, NewNodesDoNotTakeTheNewBlobsPhandles) {
    const uint32_t next = 1 + uint32_t(tree.phandle(**tree.add(at("/"), "last", Origin::firmware)));
    ASSERT_TRUE(merge(BlobBuilder{}
                          .begin("")
                          .begin("new-one")
                          .end()
                          .begin("new-two")
                          .cells("phandle", {next})
                          .end()
                          .end()));
    EXPECT_EQ(tree.phandle(at("/new-two")), Phandle{next});
    EXPECT_NE(tree.phandle(at("/new-one")), Phandle{next});
}

TEST_F(FdtMerge, ManyTimesNeedsNoMoreMemory) {
    Blob reset = machine_blob(6, 3);
    Blob negotiated = machine_blob(6, 3, true);
    size_t after_first = 0;
    for (int i = 0; i < 200; ++i) {
        ASSERT_TRUE(merge_blob(negotiated.bytes(), tree));
        ASSERT_TRUE(merge_blob(reset.bytes(), tree));
        if (i == 1) after_first = Heap::outstanding();
    }
    EXPECT_LE(Heap::outstanding(), after_first);
}

// --- when memory runs out

/// Runs `work` with allocation n failing, alone or with all after it, for every n.
void sweep(const std::function<bool(Heap&)>& work) {
    const size_t outstanding = Heap::outstanding();
    for (const size_t more : {size_t{0}, Heap::never}) {
        for (size_t n = 0;; ++n) {
            Heap heap;
            heap.fail_from(n, more);
            const bool succeeded = work(heap);
            const bool failed = heap.failures() > 0;
            ASSERT_EQ(Heap::outstanding(), outstanding) << n;
            ASSERT_EQ(succeeded, !failed) << n;
            if (succeeded) {
                ASSERT_GT(n, 8u) << "it is worth it";
                break;
            }
        }
    }
}

TEST(FdtBlobMemory, ReadFailsCleanlyAtEveryAllocation) {
    Blob blob = machine_blob(300, 20);
    sweep([&blob](Heap&) {
        Tree tree;
        const Result<void> read = read_blob(blob.bytes(), tree);
        if (!read) {
            EXPECT_EQ(read.error().code, ErrorCode::out_of_memory);
        }
        EXPECT_EQ(unsoundness(tree), "");
        return read.has_value();
    });
}

/// A hundred nodes that have phandles of their own.
Blob blob_of_phandles() {
    BlobBuilder builder;
    builder.begin("");
    for (uint32_t i = 0; i < 100; ++i)
        builder.begin("n@" + std::to_string(i)).cells("phandle", {1000 + i}).end();
    return builder.end().build();
}

TEST(FdtBlobMemory, ReadFailsWhenAPhandleCannotBeReserved) {
    Blob blob = blob_of_phandles();
    sweep([&blob](Heap&) {
        Tree tree;
        return read_blob(blob.bytes(), tree).has_value();
    });
}

TEST(FdtBlobMemory, MergeFailsWhenAPhandleCannotBeReserved) {
    Blob blob = blob_of_phandles();
    sweep([&blob](Heap&) {
        Tree tree;
        return merge_blob(blob.bytes(), tree).has_value();
    });
}

TEST(FdtBlobMemory, ATreeWithoutRootIsNeitherMergedNorWritten) {
    Blob blob = BlobBuilder{}.begin("").begin("a").end().end().build();
    for (size_t n = 0; n < 2; ++n) {
        Heap heap;
        heap.fail_from(n, Heap::never);
        Tree tree;
        ASSERT_EQ(tree.root(), nullptr);
        heap.fail_never();
        const auto merged = merge_blob(blob.bytes(), tree);
        ASSERT_FALSE(merged);
        EXPECT_EQ(merged.error().code, ErrorCode::out_of_memory);
        Blob out{blob_size_bound(tree, 0)};
        const auto written = write_blob(tree, {}, 0, {out.data(), out.size()});
        ASSERT_FALSE(written);
        EXPECT_EQ(written.error().code, ErrorCode::out_of_memory);
    }
}

TEST(FdtBlobMemory, WriteFailsCleanlyAtEveryAllocation) {
    Blob blob = machine_blob(10, 2);
    Tree tree;
    ASSERT_TRUE(read_blob(blob.bytes(), tree));
    Blob out{blob_size_bound(tree, 0)};
    Heap heap;
    for (size_t n = 0; n < 3; ++n) {
        heap.fail_from(n);
        const auto written = write_blob(tree, {}, 0, {out.data(), out.size()});
        ASSERT_EQ(written.has_value(), heap.failures() == 0);
        if (written) break;
        EXPECT_EQ(written.error().code, ErrorCode::out_of_memory);
    }
}

TEST(FdtBlobMemory, MergeFailsCleanlyAtEveryAllocation) {
    Blob before = machine_blob(300, 20);
    Blob after = machine_blob(600, 90, true);
    sweep([&before, &after](Heap&) {
        Tree tree;
        if (tree.root() == nullptr || !read_blob(before.bytes(), tree)) return false;
        const Result<void> merged = merge_blob(after.bytes(), tree);
        if (!merged) {
            EXPECT_EQ(merged.error().code, ErrorCode::out_of_memory);
        }
        EXPECT_EQ(unsoundness(tree), "");
        return merged.has_value();
    });
}

TEST(FdtBlobMemory, MergeFailsCleanlyWhenNothingIsLeft) {
    Blob before = machine_blob(1, 1);
    BlobBuilder handles;
    handles.begin("");
    for (uint32_t i = 1; i <= 2000; ++i)
        handles.begin(std::to_string(i)).cells("phandle", {0x10000 + i}).end();
    Blob after = handles.end().build();
    bool no_room_for_phandles = false;
    for (size_t n = 0;; ++n) {
        Heap heap;
        Tree tree;
        ASSERT_TRUE(read_blob(before.bytes(), tree));
        heap.fail_from(n, 1'000'000);
        const Result<void> merged = merge_blob(after.bytes(), tree);
        heap.fail_never();
        ASSERT_EQ(unsoundness(tree), "");
        if (merged) break;
        ASSERT_EQ(merged.error().code, ErrorCode::out_of_memory);
        no_room_for_phandles |= why(merged) == "no memory to merge a device tree";
    }
    EXPECT_TRUE(no_room_for_phandles);
}

TEST(FdtBlobMemory, AMergeThatFailedCanBeCompleted) {
    Blob before = machine_blob(30, 4);
    Blob after = machine_blob(60, 90, true);
    Tree expected;
    ASSERT_TRUE(read_blob(before.bytes(), expected));
    ASSERT_TRUE(merge_blob(after.bytes(), expected));
    for (size_t n = 0;; ++n) {
        Heap heap;
        Tree tree;
        ASSERT_TRUE(read_blob(before.bytes(), tree));
        heap.fail_from(n);
        const bool merged = merge_blob(after.bytes(), tree).has_value();
        heap.fail_never();
        ASSERT_TRUE(merge_blob(after.bytes(), tree));
        ASSERT_EQ(picture(tree), picture(expected));
        if (merged) break;
    }
}

// --- any bytes

TEST(FdtAnyBytes, EveryBitOfASmallTreeMayFlip) {
    Blob blob = small_tree().reservation(1, 2).build();
    for (size_t byte = 0; byte < blob.size(); ++byte) {
        for (unsigned bit = 0; bit < 8; ++bit) {
            Blob damaged = blob;
            damaged.data()[byte] ^= std::byte(1u << bit);
            ASSERT_NO_FATAL_FAILURE(survive(damaged.bytes())) << byte << " " << bit;
        }
    }
}

TEST(FdtAnyBytes, EveryCellOfASmallTreeMayBeExtreme) {
    Blob blob = small_tree().build();
    for (size_t offset = 0; offset + 4 <= blob.size(); offset += 4) {
        for (const uint32_t value : {0u, 1u, 2u, 3u, 4u, 9u, 0x7fffffffu, 0x80000000u, 0xfffffffcu,
                                     0xffffffffu, static_cast<uint32_t>(blob.size())}) {
            Blob damaged = blob;
            damaged.set_cell(offset, value);
            ASSERT_NO_FATAL_FAILURE(survive(damaged.bytes())) << offset << " " << value;
        }
    }
}

class FdtRandomBytes : public testing::TestWithParam<unsigned> {};

TEST_P(FdtRandomBytes, DoNoHarm) {
    std::mt19937 random{GetParam()};
    const Blob seeds[] = {small_tree().build(), machine_blob(2, 1), machine_blob(0, 0, true),
                          file("fdt-alias-loop-602.bin"), file("fdt-checkfull-null-954.bin")};
    for (int round = 0; round < 1500; ++round) {
        Blob blob = seeds[random() % std::size(seeds)];
        for (auto changes = 1 + random() % 6; changes > 0; --changes) {
            const size_t at = random() % blob.size();
            switch (at == 0 ? 0 : random() % 4) {
            case 0:
                blob.data()[at] = std::byte(random());
                break;
            case 1:
                blob.set_cell(at & ~size_t{3} & (blob.size() - 4),
                              static_cast<uint32_t>(random() % 10));
                break;
            case 2: // a piece of it comes twice
                std::memmove(blob.data() + at, blob.data() + random() % at / 4 * 4,
                             std::min<size_t>(blob.size() - at, random() % 64) & ~size_t{3});
                break;
            default:
                std::memset(blob.data() + at, 0, std::min<size_t>(blob.size() - at, 4));
                break;
            }
        }
        ASSERT_NO_FATAL_FAILURE(survive(blob.bytes())) << round;
    }
}
INSTANTIATE_TEST_SUITE_P(Seeds, FdtRandomBytes, testing::Range(0u, 6u));

} // namespace

} // namespace spillway::fdt
