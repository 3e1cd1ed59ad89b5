// SPDX-License-Identifier: BSD-2-Clause
// The hypervisor's answer to architecture vectors, and the quiet end of the firmware's stay.
#include "boot/handoff.h"

#include "boot/stop.h"
#include "fdt/blob.h"
#include "hcall/device_tree.h"
#include "pci/allocate.h"
#include "pci/enumerate.h"
#include "tests/host/fake_virtio.h"
#include "tests/host/fdt_support.h"
#include "tests/host/pci_machine.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

namespace spillway {
namespace {

using test::FakeVirtio;
using test::version_1, test::access_platform;

std::vector<std::byte> blob_of(const fdt::Tree& tree) {
    // Blobs are 8-byte aligned, and so is what operator new returns.
    std::vector<std::byte> bytes(fdt::blob_size_bound(tree, 0));
    const auto blob = fdt::write_blob(tree, {}, 0, bytes);
    EXPECT_TRUE(blob);
    bytes.resize(blob->size());
    return bytes;
}

class HandoffTest : public testing::Test {
protected:
    test::FakeHypervisor machine_;
    test::FakeHostBridge& host_ = machine_.add_host_bridge(0);
    fdt::Tree tree_;
    pci::Topology topology_;
    virtio::Findings findings_;
    std::optional<hcall::Rtas> rtas_;
    std::vector<std::byte> room_{hcall::cas_reply_size + 64};
    PhysicalRange home_{to_physical(room_.data()), room_.size()};
    MemoryMap memory_;
    boot::Profile profile_;
    std::optional<boot::Handoff> handoff_;
    std::vector<std::byte> given_;
    std::vector<std::byte> told_; ///< the tree that the hypervisor was told last

    ~HandoffTest() override {
        test::free_findings(findings_);
        test::free_topology(topology_);
    }

    /// With a tree of the hypervisor's of `size` bytes; 0: as large as it is.
    void boot(size_t size = 0) {
        machine_.fill_tree(tree_);
        given_ = blob_of(tree_);
        const fdt::Bytes given{given_.data(), size != 0 ? size : given_.size()};
        rtas_.emplace(machine_.rtas_tokens());
        topology_ = *pci::enumerate(tree_, *rtas_);
        pci::allocate(topology_);
        findings_ = *virtio::Findings::gather(topology_);
        ASSERT_TRUE(findings_.describe(tree_));
        ASSERT_TRUE(memory_.add_ram(home_));
        handoff_.emplace(tree_, memory_, home_, topology_, findings_, given, profile_);
        machine_.handlers[hcall::Number::update_dt] = [this](hcall::Registers& registers) {
            const auto blob = fdt::check_blob(to_pointer({registers.r4}), fdt::largest_blob);
            if (!blob) return hcall::Status::parameter;
            told_.assign(blob->begin(), blob->end());
            return hcall::Status::success;
        };
    }
    /// H_CAS answers with this blob, behind the version word.
    void answer_with(std::vector<std::byte> blob) {
        machine_.handlers[hcall::Number::client_architecture_support] =
            [blob](hcall::Registers& registers) {
                EXPECT_EQ(registers.r4, 0x5000u);
                EXPECT_EQ(registers.r6, hcall::cas_reply_size);
                std::byte* reply = to_pointer({registers.r5});
                const uint32_t version = 1;
                std::memcpy(reply, &version, sizeof version);
                std::memcpy(reply + hcall::cas_reply_header, blob.data(), blob.size());
                return hcall::Status::success;
            };
    }
};

TEST_F(HandoffTest, TheAnswerIsMergedAndOurPropertiesStay) {
    host_.bus.add<FakeVirtio>(1, 0, uint16_t{1}, version_1);
    boot();
    fdt::Tree answer;
    machine_.fill_tree(answer);
    ASSERT_TRUE(answer.set_text(*answer.find("/chosen"), "ibm,architecture-vec-5", "negotiated",
                                fdt::Origin::hypervisor));
    answer_with(blob_of(answer));
    const fdt::Phandle before = tree_.phandle(*findings_.begin()->function->node);
    const auto done = handoff_->client_architecture_support({0x5000});
    ASSERT_TRUE(done) << done.error().message;
    EXPECT_EQ(tree_.text(*tree_.find("/chosen"), "ibm,architecture-vec-5"), "negotiated");
    const fdt::Node* node = tree_.find(before);
    ASSERT_NE(node, nullptr);
    EXPECT_EQ(tree_.text(*node, "qemu,dma-bypass"), "fixed");
}

TEST_F(HandoffTest, TheAnswersMemoryIsGivenBack) {
    boot();
    answer_with(blob_of(tree_));
    EXPECT_TRUE(handoff_->client_architecture_support({0x5000}));
    EXPECT_FALSE(memory_.touches(home_, MemoryMap::Owner::firmware));
    answer_with(std::vector<std::byte>(64));
    EXPECT_FALSE(handoff_->client_architecture_support({0x5000}));
    EXPECT_FALSE(memory_.touches(home_, MemoryMap::Owner::firmware));
}

TEST_F(HandoffTest, NoMemoryForTheAnswerIsAnError) {
    boot();
    answer_with(blob_of(tree_));
    ASSERT_TRUE(memory_.claim({home_.start, 4096}, MemoryMap::Owner::loaded));
    const auto done = handoff_->client_architecture_support({0x5000});
    ASSERT_FALSE(done);
    EXPECT_EQ(done.error().code, ErrorCode::out_of_memory);
}

TEST_F(HandoffTest, ARefusalIsPassedOn) {
    boot();
    machine_.handlers[hcall::Number::client_architecture_support] = [](hcall::Registers&) {
        return hcall::Status::hardware;
    };
    const auto done = handoff_->client_architecture_support({0x5000});
    ASSERT_FALSE(done);
    EXPECT_STREQ(done.error().message, "H_CAS: H_HARDWARE");
}

TEST_F(HandoffTest, AnAnswerThatIsNoTreeLeavesTheTreeAlone) {
    boot();
    const size_t nodes = tree_.node_count();
    answer_with(std::vector<std::byte>(64));
    EXPECT_FALSE(handoff_->client_architecture_support({0x5000}));
    EXPECT_EQ(tree_.node_count(), nodes);
}

TEST_F(HandoffTest, QuiesceTellsTheHypervisorTheWholeTree) {
    host_.bus.add<FakeVirtio>(1, 0, uint16_t{2}, version_1);
    boot();
    handoff_->quiesce();
    ASSERT_FALSE(told_.empty());
    fdt::Tree told;
    ASSERT_TRUE(fdt::read_blob(told_, told));
    EXPECT_EQ(told.node_count(), tree_.node_count());
    char path[128];
    const fdt::Node& node = *findings_.begin()->function->node;
    const std::string_view where{path, tree_.path(node, path)};
    ASSERT_NE(told.find(where), nullptr);
    EXPECT_EQ(told.text(*told.find(where), "qemu,dma-bypass"), "fixed");
    EXPECT_EQ(told.phandle(*told.find(where)), tree_.phandle(node));
}

TEST_F(HandoffTest, TheTimeInTheHypervisorIsAStepOfItsOwn) {
    boot();
    answer_with(blob_of(tree_));
    ASSERT_TRUE(handoff_->client_architecture_support({0x5000}));
    handoff_->quiesce();
    std::string steps;
    for (const boot::Profile::Mark& mark : profile_.marks())
        steps += std::string{mark.step} + " ";
    EXPECT_EQ(steps, "client H_CAS quiesce ");
}

TEST_F(HandoffTest, AProfileThatDoesNotFitIsSaid) {
    boot();
    for (size_t i = 0; i < boot::Profile::most_marks; ++i)
        profile_.mark("a name that is far too long for a step");
    handoff_->quiesce();
    EXPECT_EQ(machine_.console_count("warning: "), 1U) << machine_.console;
    EXPECT_FALSE(told_.empty()) << "the tree is told all the same";
}

TEST_F(HandoffTest, QuiesceMakesTheCopyOfTheKernelCheap) {
    boot();
    EXPECT_EQ(machine_.tlb_enlargements, 0U);
    handoff_->quiesce();
    EXPECT_EQ(machine_.tlb_enlargements, 1U);
}

TEST_F(HandoffTest, ATreeOfMoreThanTwiceTheSizeIsNotSent) {
    boot(100);
    handoff_->quiesce();
    EXPECT_TRUE(told_.empty());
    EXPECT_NE(machine_.console.find("more than twice the 100"), std::string::npos)
        << machine_.console;
}

TEST_F(HandoffTest, AfterAnAnswerItsSizeIsTheMeasure) {
    boot();
    fdt::Tree small;
    ASSERT_TRUE(small.set_text(*small.root(), "model", "tiny", fdt::Origin::hypervisor));
    answer_with(blob_of(small));
    ASSERT_TRUE(handoff_->client_architecture_support({0x5000}));
    ASSERT_TRUE(
        tree_.set(*tree_.root(), "large", std::vector<std::byte>(4096), fdt::Origin::firmware));
    handoff_->quiesce();
    EXPECT_TRUE(told_.empty());
}

TEST_F(HandoffTest, ATreeThatHasNoRoomIsNotSent) {
    boot();
    fdt::test::Heap heap;
    heap.fail_from(0, fdt::test::Heap::never);
    handoff_->quiesce();
    EXPECT_TRUE(told_.empty());
    EXPECT_EQ(machine_.console_count("final tree: no memory for a tree of"), 1u);
}

TEST_F(HandoffTest, ARefusedTreeIsSaid) {
    boot();
    machine_.handlers[hcall::Number::update_dt] = [](hcall::Registers&) {
        return hcall::Status::parameter;
    };
    handoff_->quiesce();
    EXPECT_NE(machine_.console.find("H_PARAMETER"), std::string::npos) << machine_.console;
}

TEST_F(HandoffTest, QuiesceClosesTheWindowOfWhoeverWasMadeMaster) {
    auto& device = host_.bus.add<FakeVirtio>(1, 0, uint16_t{1}, version_1 | access_platform);
    uint64_t on = 0;
    machine_.handlers[hcall::Number::pci_dma_bypass] = [&](hcall::Registers& registers) {
        // As the contract has it: off is refused as long as DMA is possible.
        if (registers.r6 == 0 && device.bus_master()) return hcall::Status::state;
        if (registers.r6 == 0) on = 0;
        registers.r4 = on;
        return hcall::Status::success;
    };
    boot();
    on = 1;
    device.set16(0x04, pci::command_bus_master);
    handoff_->quiesce();
    EXPECT_EQ(on, 0u);
    EXPECT_EQ(machine_.console_count("cannot be turned off"), 0u);
}

TEST_F(HandoffTest, QuiesceSilencesWhoeverWasMadeMaster) {
    auto& device = host_.bus.add<FakeVirtio>(1, 0, uint16_t{1}, version_1 | access_platform);
    boot();
    device.config[4] |= static_cast<uint8_t>(pci::command_bus_master);
    device.status = 0x0F;
    handoff_->quiesce();
    EXPECT_FALSE(device.bus_master());
    EXPECT_EQ(device.status, 0);
}

TEST_F(HandoffTest, TheProgramsWaysOutEndTheMachine) {
    boot();
    const auto end_at = [this](uint32_t token, int status) {
        machine_.rtas_handlers[token] = [=](auto, auto) -> hcall::RtasStatus { std::exit(status); };
    };
    end_at(test::FakeHypervisor::token_power_off, 11);
    end_at(test::FakeHypervisor::token_system_reboot, 12);
    boot::set_stop_services(*rtas_);
    EXPECT_EXIT(handoff_->leave("exit"), testing::ExitedWithCode(11), "");
    EXPECT_EXIT(handoff_->power_off(), testing::ExitedWithCode(11), "");
    EXPECT_EXIT(handoff_->restart(), testing::ExitedWithCode(12), "");
}

TEST_F(HandoffTest, MillisecondsCountFromTheStart) {
    boot();
    const uint32_t first = handoff_->milliseconds();
    EXPECT_GE(handoff_->milliseconds(), first);
}

} // namespace
} // namespace spillway
