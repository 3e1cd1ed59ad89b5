// SPDX-License-Identifier: BSD-2-Clause
// call-method, test-method and interpret.
#include "of/rtas_blob.h"
#include "tests/host/of_guest.h"

#include <gtest/gtest.h>

namespace spillway::of::test {
namespace {

using Returns = std::vector<uint32_t>;

class OfMethod : public testing::Test {
protected:
    Returns run(std::string_view method, uint32_t instance, std::vector<uint32_t> stack = {}) {
        std::vector<uint32_t> arguments{guest.text(method), instance};
        arguments.insert(arguments.end(), stack.begin(), stack.end());
        const auto answer = guest.call("call-method", arguments, 2);
        EXPECT_EQ(answer.status, 0);
        return answer.returns;
    }

    Guest guest;
    uint32_t root = guest.open("/");
    uint32_t rtas = guest.open("/rtas");
    uint32_t terminal = guest.open("/vdevice/vty");
    const std::string negotiate = "ibm,client-architecture-support";
    const std::string instantiate = "instantiate-rtas";
};

TEST_F(OfMethod, NegotiationReachesThePlatform) {
    const uint32_t vectors = guest.buffer(64);
    EXPECT_EQ(run(negotiate, root, {vectors}), (Returns{0, 0}));
    EXPECT_EQ(guest.platform.vectors, std::vector<uint64_t>{vectors});
}

TEST_F(OfMethod, NegotiationThatFailsSaysSo) {
    guest.platform.negotiate = [] { return fail(ErrorCode::hypervisor, "no"); };
    EXPECT_EQ(run(negotiate, root, {guest.buffer(64)}), (Returns{0, failure}));
}

TEST_F(OfMethod, NegotiationMayBeRepeated) {
    for (int i = 0; i < 3; ++i) {
        EXPECT_EQ(run(negotiate, root, {guest.buffer(64)}), (Returns{0, 0}));
    }
    EXPECT_EQ(guest.platform.vectors.size(), 3U);
}

TEST_F(OfMethod, NegotiationMayChangeTheTree) {
    const uint32_t scsi = guest.open("/pci/scsi");
    guest.platform.negotiate = [&] {
        guest.tree.remove(*guest.tree.find("/pci"));
        add_node(guest.tree, *guest.tree.root(), "ibm,dynamic-reconfiguration-memory");
        set(guest.tree, *guest.tree.find("/chosen"), "ibm,architecture-vec-5", "abc");
        return Result<void>{};
    };
    EXPECT_EQ(run(negotiate, root, {guest.buffer(64)}), (Returns{0, 0}));
    EXPECT_EQ(guest.node("/pci"), failure);
    EXPECT_NE(guest.node("/ibm,dynamic-reconfiguration-memory"), failure);
    EXPECT_EQ(guest.property(guest.node("/chosen"), "ibm,architecture-vec-5"), "abc");
    EXPECT_EQ(guest.ask("instance-to-package", {scsi}), failure);
    EXPECT_EQ(guest.ask("instance-to-package", {root}), guest.node("/"));
}

TEST_F(OfMethod, NegotiationMayTakeMemory) {
    guest.platform.negotiate = [&] {
        return guest.memory.claim({{40 * mib}, mib}, MemoryMap::Owner::firmware);
    };
    EXPECT_EQ(run(negotiate, root, {guest.buffer(64)}), (Returns{0, 0}));
    for (const PhysicalRange& range : guest.available()) {
        EXPECT_FALSE(range.overlaps({{40 * mib}, mib}));
    }
}

TEST_F(OfMethod, NegotiationIsOnlyOfTheRoot) {
    EXPECT_EQ(run(negotiate, rtas, {guest.buffer(64)}), (Returns{failure, 0}));
    EXPECT_EQ(run(negotiate, terminal, {guest.buffer(64)}), (Returns{failure, 0}));
    EXPECT_TRUE(guest.platform.vectors.empty());
}

TEST_F(OfMethod, NegotiationNeedsItsArgument) {
    EXPECT_EQ(run(negotiate, root), (Returns{failure, 0}));
    EXPECT_TRUE(guest.platform.vectors.empty());
}

TEST_F(OfMethod, ResultMayBeLeftOut) {
    EXPECT_EQ(guest.ask("call-method", {guest.text(negotiate), root, guest.buffer(64)}), 0U);
    EXPECT_EQ(guest.platform.vectors.size(), 1U);
}

TEST_F(OfMethod, ExtraStackCellsAreIgnored) {
    EXPECT_EQ(run(negotiate, root, {guest.buffer(64), 1, 2, 3}), (Returns{0, 0}));
}

TEST_F(OfMethod, RtasIsCopied) {
    const uint32_t base = 0x2000000;
    EXPECT_EQ(run(instantiate, rtas, {base}), (Returns{0, base}));
    EXPECT_EQ(guest.bytes(base, 20),
              cells({0x7c641b78, 0x3c600000, 0x6063f000, 0x44000022, 0x4e800020}));
}

TEST_F(OfMethod, RtasTouchesOnlyItsCode) {
    const uint32_t base = guest.buffer(4096) & ~3U;
    EXPECT_EQ(run(instantiate, rtas, {base}), (Returns{0, base}));
    EXPECT_EQ(guest.bytes(base + 20, 100), std::string(100, '#'));
}

TEST_F(OfMethod, RtasMayBeInstantiatedTwice) {
    EXPECT_EQ(run(instantiate, rtas, {0x2000000}), (Returns{0, 0x2000000}));
    EXPECT_EQ(run(instantiate, rtas, {0x2100000}), (Returns{0, 0x2100000}));
}

TEST_F(OfMethod, RtasFitsUpToTheFirmware) {
    const auto fits = static_cast<uint32_t>(Guest::stacks.start.value - Guest::rtas_size);
    EXPECT_EQ(run(instantiate, rtas, {fits}), (Returns{0, fits}));
    EXPECT_EQ(run(instantiate, rtas, {fits + 4}), (Returns{failure, 0}));
}

TEST_F(OfMethod, RtasNeedsAlignment) {
    for (const uint32_t odd : {1U, 2U, 3U}) {
        EXPECT_EQ(run(instantiate, rtas, {0x2000000 + odd}), (Returns{failure, 0}));
    }
}

TEST_F(OfMethod, RtasNeedsASize) {
    fdt::Node& node = *guest.tree.find("/rtas");
    for (const std::string& size : {std::string{}, cells({0}), cells({19}), cells({failure})}) {
        set(guest.tree, node, "rtas-size", size);
        EXPECT_EQ(run(instantiate, rtas, {0x2000000}), (Returns{failure, 0}));
    }
    set(guest.tree, node, "rtas-size", cells({20}));
    EXPECT_EQ(run(instantiate, rtas, {0x2000000}), (Returns{0, 0x2000000}));
}

TEST_F(OfMethod, RtasNeedsItsNode) {
    guest.tree.remove(*guest.tree.find("/rtas"));
    EXPECT_EQ(run(instantiate, rtas, {0x2000000}), (Returns{failure, 0}));
}

TEST_F(OfMethod, RtasNeedsItsArgument) {
    EXPECT_EQ(run(instantiate, rtas), (Returns{failure, 0}));
}

TEST_F(OfMethod, TerminalWrites) {
    EXPECT_EQ(run("write", terminal, {5, guest.text("Hello")}), (Returns{0, 5}));
    EXPECT_EQ(guest.console.output, "Hello");
}

TEST_F(OfMethod, TerminalReads) {
    guest.console.input = "xy";
    const uint32_t room = guest.buffer(8);
    EXPECT_EQ(run("read", terminal, {8, room}), (Returns{0, 2}));
    EXPECT_EQ(guest.bytes(room, 3), "xy#");
    EXPECT_EQ(run("read", terminal, {8, room}), (Returns{0, nothing_yet}));
}

TEST_F(OfMethod, UnknownMethodsThrow) {
    for (const char* method : {"", "open", "close", "sml-handover", "set-64-bit-addressing",
                               "color!", "block-size", "Write", "writ", "write "}) {
        EXPECT_EQ(run(method, terminal, {1, 2, 3}), (Returns{failure, 0})) << method;
    }
}

TEST_F(OfMethod, LongMethodNamesThrow) {
    EXPECT_EQ(run(std::string(100, 'm'), terminal), (Returns{failure, 0}));
}

TEST_F(OfMethod, BadInstancesThrow) {
    for (const uint32_t bad : {0U, 1U, failure, guest.node("/")}) {
        EXPECT_EQ(run(negotiate, bad, {guest.buffer(64)}), (Returns{failure, 0})) << bad;
    }
    guest.tell("close", {root});
    EXPECT_EQ(run(negotiate, root, {guest.buffer(64)}), (Returns{failure, 0}));
    EXPECT_TRUE(guest.platform.vectors.empty());
}

struct Question {
    const char* path;
    const char* method;
    bool exists;
};

class OfTestMethod : public testing::TestWithParam<Question> {};

TEST_P(OfTestMethod, Answers) {
    Guest guest;
    const Question& question = GetParam();
    EXPECT_EQ(guest.ask("test-method", {guest.node(question.path), guest.text(question.method)}),
              question.exists ? 0 : failure);
}

INSTANTIATE_TEST_SUITE_P(
    All, OfTestMethod,
    testing::Values(Question{"/", "ibm,client-architecture-support", true},
                    Question{"/", "instantiate-rtas", false}, Question{"/", "open", true},
                    Question{"/", "", false}, Question{"/rtas", "instantiate-rtas", true},
                    Question{"/rtas", "write", false}, Question{"/vdevice/vty", "write", true},
                    Question{"/vdevice/vty", "read", true}, Question{"/vdevice/vty", "seek", false},
                    Question{"/vdevice/vty", "close", true}, Question{"/chosen", "read", false},
                    Question{"/nothing", "open", false}));

class OfPhrase : public testing::Test {
protected:
    /// How the program left, or else the catch result.
    std::string interpret(std::string_view phrase) {
        try {
            const auto answer = guest.call("interpret", {guest.text(phrase)}, 2);
            EXPECT_EQ(answer.status, 0);
            EXPECT_EQ(answer.returns[1], 0U);
            return answer.returns[0] == 0 ? "done" : "thrown";
        } catch (const Left& left) {
            return left.how;
        }
    }

    Guest guest;
};

TEST_F(OfPhrase, ResetAllRestarts) {
    EXPECT_EQ(interpret("reset-all"), "restart");
}

TEST_F(OfPhrase, PowerOffStops) {
    for (const char* phrase : {"power-off", "shut-down", "poweroff"}) {
        EXPECT_EQ(interpret(phrase), "power-off") << phrase;
    }
}

TEST_F(OfPhrase, CursorAndOutputAreAccepted) {
    for (const char* phrase : {"cursor-on", "cursor-off", "output-device output"}) {
        EXPECT_EQ(interpret(phrase), "done") << phrase;
    }
}

TEST_F(OfPhrase, SpacesAroundDoNotMatter) {
    EXPECT_EQ(interpret("  cursor-on "), "done");
    EXPECT_EQ(interpret(" reset-all"), "restart");
}

TEST_F(OfPhrase, NothingElseIsForth) {
    for (const char* phrase :
         {"", " ", "1", "dup", "reset-all reset-all", "Reset-All", "reset-all\n", "cursor-on cr",
          "output-device  output", "1 2 + .", ": x ;", "reset"}) {
        EXPECT_EQ(interpret(phrase), "thrown") << phrase;
    }
}

TEST_F(OfPhrase, LongPhrasesThrow) {
    EXPECT_EQ(interpret(std::string(127, ' ')), "thrown");
    EXPECT_EQ(interpret(std::string(119, ' ') + "cursor-on"), "thrown");
    EXPECT_EQ(interpret(std::string(100000, 'x')), "thrown");
}

TEST(OfRtasBlob, HasFiveInstructions) {
    std::array<std::byte, rtas_code_size> area;
    write_rtas_code(area);
    EXPECT_EQ(uint32_t{load<Big32>(area.data() + 12)}, 0x44000022U) << "sc 1";
    EXPECT_EQ(uint32_t{load<Big32>(area.data() + 16)}, 0x4e800020U) << "blr";
}

} // namespace
} // namespace spillway::of::test
