// SPDX-License-Identifier: BSD-2-Clause
#include "pci/allocate.h"

#include "base/heap.h"
#include "base/log.h"

#include <algorithm>
#include <bit>
#include <new>

namespace spillway::pci {
namespace {

constexpr size_t bus_count = 256;
/// Sums stop here: far above any window, far below 64 bits.
constexpr uint64_t far_too_large = uint64_t{1} << 62;
/// Linux maps device registers in pages of 64 KiB; registers of two functions in one page could not
/// be handed to two guests or processes.
constexpr uint64_t page_alignment = 64 << 10;
/// Linux keeps the first 4 KiB of a host bridge's I/O space for ISA devices.
constexpr uint64_t lowest_io = 0x1000;

/// How a bridge forwards a space (PCI-to-PCI Bridge 1.2, 3.2.5), and the room that it keeps for
/// devices that come later.
struct WindowRule {
    uint64_t granule;
    uint64_t room;
};
constexpr std::array<WindowRule, space_count> window_rules{{
    {4 << 10, 2 << 10},           // half a granule: a few legacy devices
    {1 << 20, 2 << 20},           // 31 virtio functions, each a page of 64 KiB
    {1 << 20, uint64_t{1} << 30}, // a device with large memory of its own
}};

/// What is given up, step by step, until everything fits a window.
struct Comfort {
    bool room;  ///< bridges keep room for hot-plug
    bool pages; ///< memory BARs are page_alignment apart
    bool roms;  ///< expansion ROMs get addresses
    /// A bridge whose prefetchable window is open has a 32-bit one too: Linux takes the first
    /// memory range of a bridge for the 32-bit one.
    bool pairs;
};
constexpr Comfort comforts[] = {
    {true, true, true, true},
    {false, true, true, true},
    {false, false, true, true},
    {false, false, false, true},
};
constexpr Comfort no_comfort{false, false, false, false};

/// When not everything fits: how often to try whether one BAR more does.
constexpr unsigned most_tries = 4096;

/// Something that needs an address: a BAR, or the window of a bridge (bar == nullptr).
struct Request {
    Request* next;
    Function* function;
    Bar* bar;
    uint64_t size;
    uint64_t alignment;
};

/// One bus while one space is laid out.
struct Bus {
    Function* bridge; ///< that leads here; nullptr for the root bus and unused numbers
    std::array<bool, space_count> open; ///< addresses of a space get here
    Request* requests;
    Request** last_request;
    uint64_t alignments; ///< the union of all requests' alignments
};

size_t index_of(Space space) {
    return static_cast<size_t>(space);
}

const char* name_of(Space space) {
    constexpr std::array names{"I/O", "32-bit memory", "64-bit memory"};
    return names[index_of(space)];
}

/// Lays out one host bridge, space after space.
class Layout {
public:
    /// `buses` are bus_count, `requests` as many as the host bridge has BARs and bridges.
    Layout(HostBridge& host, Function* first, Bus* buses, Request* requests)
        : host_(host)
        , first_(first)
        , buses_(buses)
        , request_storage_(requests) {}

    void run() {
        open_buses();
        // The 32-bit windows come last: what the prefetchable ones are decides their least size.
        for (const Space space : {Space::io, Space::memory64, Space::memory32})
            fill(space);
        for_each_function([](Function& function) {
            for (const Bar& bar : function.bars) {
                if (bar.size == 0 || bar.assigned) continue;
                log::warning("pci %s: BAR at 0x%02x (0x%llx bytes of %s) gets no address",
                             name(function).text, unsigned{bar.config_offset},
                             static_cast<unsigned long long>(bar.size), name_of(bar.space));
            }
        });
    }

private:
    template<typename Visitor> void for_each_function(Visitor visit) {
        for (Function* at = first_; at != nullptr && at->host == &host_; at = at->next)
            visit(*at);
    }

    BusRange root_window(Space space) const {
        BusRange window = host_.windows[index_of(space)].bus;
        // Address 0 means "not assigned" to too many.
        uint64_t lowest = std::max<uint64_t>(window.start.value, 1);
        uint64_t end = window.end().value;
        if (space == Space::io) {
            if (end > lowest_io) lowest = std::max(lowest, lowest_io);
            if (narrow_io_) end = std::min<uint64_t>(end, 0x1'0000);
        }
        if (end <= lowest) return {};
        return {{lowest}, end - lowest};
    }

    /// Which spaces get to which bus.
    void open_buses() {
        for (size_t number = 0; number < bus_count; ++number)
            buses_[number] = {};
        Bus& root = buses_[host_.first_bus];
        narrow_io_ = false;
        for_each_function([this](const Function& bridge) {
            narrow_io_ = narrow_io_ || (bridge.secondary_bus != 0 && bridge.has_io_window &&
                                        !bridge.io_32 && io_starts_low());
        });
        for (const Space space : {Space::io, Space::memory32, Space::memory64}) {
            root.open[index_of(space)] = root_window(space).size != 0;
        }
        for_each_function([this](Function& bridge) { // a bridge comes before what is behind it
            if (bridge.secondary_bus == 0) return;
            Bus& bus = buses_[bridge.secondary_bus];
            bus.bridge = &bridge;
            bus.open = buses_[bridge.location.bus].open;
            bool& io = bus.open[index_of(Space::io)];
            io = io && bridge.has_io_window && (bridge.io_32 || io_starts_low());
            bool& wide = bus.open[index_of(Space::memory64)];
            wide = wide && bridge.prefetchable_64;
        });
    }

    bool io_starts_low() const {
        return host_.windows[index_of(Space::io)].bus.start.value < 0x1'0000;
    }

    /// The space that a BAR's address is taken from. Behind a bridge only prefetchable memory is
    /// forwarded with 64 address bits.
    Space place_of(const Function& function, const Bar& bar) const {
        if (bar.space != Space::memory64) return bar.space;
        const bool wide = buses_[function.location.bus].open[index_of(Space::memory64)];
        return wide && (bar.prefetchable || function.bridge == nullptr) ? Space::memory64
                                                                        : Space::memory32;
    }

    template<typename Visitor> void for_each_bar(Space space, Visitor visit) {
        for_each_function([&](Function& function) {
            for (Bar& bar : function.bars) {
                if (bar.size != 0 && place_of(function, bar) == space) visit(function, bar);
            }
        });
    }

    /// Gives addresses of one space to all that fit. Until then `assigned` says who takes part.
    void fill(Space space) {
        for (const Comfort comfort : comforts) {
            for_each_bar(space, [&](const Function& function, Bar& bar) {
                bar.assigned = buses_[function.location.bus].open[index_of(space)] &&
                               (comfort.roms || !bar.rom);
            });
            if (fits(space, comfort)) return place_all(space);
        }
        fill_from_smallest(space);
        fits(space, no_comfort);
        place_all(space);
    }

    /// The space is exhausted: leaves out the largest BARs, and of one size the last.
    void fill_from_smallest(Space space) {
        const auto set = [&](unsigned bits, bool to) {
            for_each_bar(space, [&](const Function& function, Bar& bar) {
                if (bar.rom || bar.size != uint64_t{1} << bits) return;
                bar.assigned = to && buses_[function.location.bus].open[index_of(space)];
            });
        };
        for_each_bar(space, [](const Function&, Bar& bar) { bar.assigned = false; });
        unsigned tries = 0;
        for (unsigned bits = 0; bits < 64; ++bits) {
            set(bits, true);
            if (fits(space, no_comfort)) continue;
            set(bits, false);
            for_each_bar(space, [&](const Function& function, Bar& bar) {
                if (bar.rom || bar.size != uint64_t{1} << bits || tries == most_tries) return;
                if (!buses_[function.location.bus].open[index_of(space)]) return;
                ++tries;
                bar.assigned = true;
                bar.assigned = fits(space, no_comfort);
            });
        }
    }

    void place_all(Space space) {
        for (size_t number = 0; number < bus_count; ++number)
            place(buses_[number], space);
    }

    /// Sizes all windows bottom up. All of it fits the host bridge's window?
    bool fits(Space space, Comfort comfort) {
        used_requests_ = 0;
        for (size_t number = 0; number < bus_count; ++number) {
            Bus& bus = buses_[number];
            bus.requests = nullptr;
            bus.last_request = &bus.requests;
            bus.alignments = 0;
        }
        const bool pages = comfort.pages && space != Space::io;
        for_each_bar(space, [&](Function& function, Bar& bar) {
            if (!bar.assigned) return;
            add(buses_[function.location.bus],
                {nullptr, &function, &bar, bar.size,
                 pages ? std::max(bar.size, page_alignment) : bar.size});
        });
        // Bridges lead to buses with higher numbers.
        for (size_t number = bus_count; number-- > 0;) {
            Bus& bus = buses_[number];
            if (bus.bridge != nullptr) measure_bridge(bus, space, comfort);
        }
        const Bus& root = buses_[host_.first_bus];
        const BusRange window = root_window(space);
        return root.requests == nullptr || end_of(root, window.start.value) <= window.end().value;
    }

    void measure_bridge(Bus& bus, Space space, Comfort comfort) {
        const WindowRule& rule = window_rules[index_of(space)];
        Function& bridge = *bus.bridge;
        BusRange& window = bridge.windows[index_of(space)];
        window = {};
        if (!bus.open[index_of(space)]) return;
        const uint64_t used = end_of(bus, 0);
        uint64_t size = align_up(used + (comfort.room ? rule.room : 0), rule.granule);
        const bool pair =
            space == Space::memory32 && bridge.windows[index_of(Space::memory64)].size != 0;
        if (size == 0 && pair && comfort.pairs) size = rule.granule;
        if (size == 0) return;
        window.size = size;
        const uint64_t largest = bus.alignments == 0 ? 1 : std::bit_floor(bus.alignments);
        add(buses_[bridge.location.bus],
            {nullptr, &bridge, nullptr, size, std::max(rule.granule, largest)});
    }

    void add(Bus& bus, const Request& request) {
        Request* stored = new (request_storage_ + used_requests_++) Request{request};
        *bus.last_request = stored;
        bus.last_request = &stored->next;
        bus.alignments |= stored->alignment;
    }

    /// Visits the requests of a bus by falling alignment, with the address of each when the first
    /// may start at `start`; so sorted, BARs need no gaps between them. Returns where it ends.
    template<typename Visitor>
    static uint64_t for_each_request(const Bus& bus, uint64_t start, Visitor visit) {
        uint64_t end = start;
        for (uint64_t left = bus.alignments; left != 0;) {
            const uint64_t alignment = std::bit_floor(left);
            left &= ~alignment;
            for (const Request* request = bus.requests; request != nullptr;
                 request = request->next) {
                if (request->alignment != alignment) continue;
                if (end > far_too_large || request->size > far_too_large) return ~uint64_t{0};
                end = align_up(end, alignment);
                visit(*request, BusAddress{end});
                end += request->size;
            }
        }
        return end;
    }

    static uint64_t end_of(const Bus& bus, uint64_t start) {
        const uint64_t end = for_each_request(bus, start, [](const Request&, BusAddress) {});
        return std::min(end, far_too_large + 1);
    }

    /// Gives all requests of a bus their addresses, once the bus itself has one.
    void place(const Bus& bus, Space space) {
        const uint64_t start = bus.bridge == nullptr
                                   ? root_window(space).start.value
                                   : bus.bridge->windows[index_of(space)].start.value;
        for_each_request(bus, start, [space](const Request& request, BusAddress address) {
            if (request.bar == nullptr) {
                request.function->windows[index_of(space)].start = address;
            } else {
                request.bar->address = address;
                request.bar->assigned = true;
            }
        });
    }

    HostBridge& host_;
    Function* first_;
    Bus* buses_;
    Request* request_storage_;
    size_t used_requests_ = 0;
    bool narrow_io_ = false; ///< some bridge forwards only 16 bits of I/O address
};

// --- programming

constexpr uint32_t closed_window = 0x0000'FFF0; ///< base above limit
constexpr uint16_t closed_io_window = 0x00F0;

/// Base and limit of a memory window, address bits 20 to 31 of each.
uint32_t memory_window_register(BusRange window) {
    if (window.size == 0) return closed_window;
    const uint64_t last = window.end().value - 1;
    return static_cast<uint32_t>((window.start.value >> 16 & 0xFFF0) | (last & 0xFFF0'0000));
}

void program_windows(const Config& config, const Function& bridge) {
    if (bridge.has_io_window) {
        const BusRange io = bridge.windows[index_of(Space::io)];
        const uint64_t last = io.size == 0 ? 0 : io.end().value - 1;
        config.write(Register16::io_window,
                     io.size == 0
                         ? closed_io_window
                         : static_cast<uint16_t>((io.start.value >> 8 & 0xF0) | (last & 0xF000)));
        if (bridge.io_32) {
            config.write(
                Register32::io_window_upper,
                static_cast<uint32_t>((io.start.value >> 16 & 0xFFFF) | (last & 0xFFFF'0000)));
        }
    }
    config.write(Register32::memory_window,
                 memory_window_register(bridge.windows[index_of(Space::memory32)]));
    if (!bridge.has_prefetchable_window) return;
    const BusRange wide = bridge.windows[index_of(Space::memory64)];
    config.write(Register32::prefetchable_window, memory_window_register(wide));
    if (!bridge.prefetchable_64) return;
    const uint64_t last = wide.size == 0 ? 0 : wide.end().value - 1;
    config.write(Register32::prefetchable_base_upper,
                 static_cast<uint32_t>(wide.start.value >> 32));
    config.write(Register32::prefetchable_limit_upper, static_cast<uint32_t>(last >> 32));
}

/// Address bits of a BAR: the others tell its kind.
uint32_t address_mask(const Bar& bar) {
    if (bar.rom) return 0xFFFF'F800;
    return bar.space == Space::io ? 0xFFFF'FFFC : 0xFFFF'FFF0;
}

/// Where a BAR without address does no harm once its function decodes the others: at 0, if it ends
/// where windows start, else beyond every window.
uint64_t parking_place(const Bar& bar) {
    const bool low =
        bar.space == Space::memory32 || (bar.space == Space::io && bar.size <= lowest_io);
    return low ? 0 : ~(bar.size - 1);
}

/// Writes the address of a BAR, and drops one that does not stick.
void program_bar(const Config& config, const Function& function, Bar& bar) {
    const Register32 low{bar.config_offset};
    const Register32 high = low + 4;
    const bool pair = bar.space == Space::memory64;
    const uint64_t wanted = bar.assigned ? bar.address.value : parking_place(bar);
    config.write(low, static_cast<uint32_t>(wanted));
    if (pair) config.write(high, static_cast<uint32_t>(wanted >> 32));
    if (!bar.assigned) return;
    uint64_t found = config.read(low) & address_mask(bar);
    if (pair) found |= uint64_t{config.read(high)} << 32;
    if (found == wanted) return;
    bar.assigned = false;
    log::warning("pci %s: BAR at 0x%02x holds 0x%llx instead of 0x%llx: not used",
                 name(function).text, unsigned{bar.config_offset},
                 static_cast<unsigned long long>(found), static_cast<unsigned long long>(wanted));
}

void program(const Config& config, Function& function) {
    for (Bar& bar : function.bars) {
        if (bar.size != 0) program_bar(config, function, bar);
    }
    if (function.is_bridge) program_windows(config, function);
}

} // namespace

void allocate(Topology& topology) {
    size_t most_requests = 0;
    for (const Function* at = topology.functions; at != nullptr; at = at->next) {
        most_requests += at->is_bridge;
        for (const Bar& bar : at->bars)
            most_requests += bar.size != 0;
    }
    auto* buses = static_cast<Bus*>(take_from_heap(bus_count * sizeof(Bus)));
    auto* requests = static_cast<Request*>(take_from_heap((most_requests + 1) * sizeof(Request)));
    if (buses == nullptr || requests == nullptr) {
        log::error("pci: no memory to give out addresses: no device can be used");
    } else {
        const HostBridge* done = nullptr;
        for (Function* at = topology.functions; at != nullptr; at = at->next) {
            if (at->host == done) continue;
            done = at->host;
            Layout{*at->host, at, buses, requests}.run();
        }
    }
    give_to_heap(requests);
    give_to_heap(buses);
    for (Function* at = topology.functions; at != nullptr; at = at->next) {
        program(topology.config(*at), *at);
    }
}

} // namespace spillway::pci
