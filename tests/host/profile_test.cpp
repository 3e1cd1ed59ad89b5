// SPDX-License-Identifier: BSD-2-Clause
// The boot profile: what it keeps and what a running guest reads.
#include "boot/profile.h"

#include "base/endian.h"
#include "tests/host/fdt_support.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace spillway {
namespace {

std::vector<uint64_t> ticks_in(const fdt::Tree& tree) {
    const fdt::Bytes value = tree.value(*tree.find("/chosen"), "spillway,boot-ticks");
    std::vector<uint64_t> ticks;
    for (size_t at = 0; at < value.size(); at += sizeof(Big64)) {
        ticks.push_back(load<Big64>(value.data() + at));
    }
    return ticks;
}

std::string steps_in(const fdt::Tree& tree) {
    const fdt::Bytes value = tree.value(*tree.find("/chosen"), "spillway,boot-steps");
    return {reinterpret_cast<const char*>(value.data()), value.size()};
}

TEST(ProfileTest, AGuestReadsNamesAndTicks) {
    fdt::Tree tree;
    ASSERT_TRUE(tree.add(*tree.root(), "chosen", fdt::Origin::firmware));
    boot::Profile profile;
    profile.mark("start");
    profile.mark("memory");
    profile.mark("tree");
    ASSERT_TRUE(profile.describe(tree));
    EXPECT_EQ(steps_in(tree), std::string("start\0memory\0tree\0", 18));
    const std::vector<uint64_t> ticks = ticks_in(tree);
    ASSERT_EQ(ticks.size(), 3U);
    EXPECT_EQ(ticks[0], profile.started());
    EXPECT_LE(ticks[0], ticks[1]);
    EXPECT_LE(ticks[1], ticks[2]);
}

TEST(ProfileTest, ATreeWithoutChosenStaysAsItIs) {
    fdt::Tree tree;
    boot::Profile profile;
    profile.mark("start");
    EXPECT_TRUE(profile.describe(tree));
    EXPECT_EQ(tree.node_count(), 1U);
}

TEST(ProfileTest, TheFirstMarkAndTheNewestStay) {
    fdt::Tree tree;
    ASSERT_TRUE(tree.add(*tree.root(), "chosen", fdt::Origin::firmware));
    boot::Profile profile;
    profile.mark("start");
    for (size_t i = 0; i < boot::Profile::most_marks; ++i)
        profile.mark("middle");
    profile.mark("last");
    ASSERT_EQ(profile.marks().size(), boot::Profile::most_marks);
    EXPECT_STREQ(profile.marks().front().step, "start");
    EXPECT_EQ(profile.marks().front().ticks, profile.started());
    EXPECT_STREQ(profile.marks().back().step, "last");
    ASSERT_TRUE(profile.describe(tree));
    EXPECT_EQ(ticks_in(tree).size(), boot::Profile::most_marks);
}

TEST(ProfileTest, NamesThatDoNotFitAreAnError) {
    fdt::Tree tree;
    ASSERT_TRUE(tree.add(*tree.root(), "chosen", fdt::Origin::firmware));
    boot::Profile profile;
    for (size_t i = 0; i < boot::Profile::most_marks; ++i)
        profile.mark("a name that is far too long for a step");
    EXPECT_FALSE(profile.describe(tree));
    EXPECT_TRUE(steps_in(tree).empty());
}

TEST(ProfileTest, NoMemoryForThePropertiesIsAnError) {
    fdt::Tree tree;
    ASSERT_TRUE(tree.add(*tree.root(), "chosen", fdt::Origin::firmware));
    boot::Profile profile;
    profile.mark("start");
    fdt::test::Heap heap;
    heap.fail_from(0, 1'000'000);
    int spare = 0; // the tree has some memory in store
    while (tree.set_text(*tree.root(), std::to_string(spare), "x", fdt::Origin::firmware))
        ++spare;
    EXPECT_FALSE(profile.describe(tree));
}

} // namespace
} // namespace spillway
