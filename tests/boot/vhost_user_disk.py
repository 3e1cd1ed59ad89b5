# SPDX-License-Identifier: BSD-2-Clause
"""A virtio disk in a process of its own (vhost-user) that obeys the IOMMU, and reports who does not.

    with VhostUserDisk(socket_path, image_path) as disk:
        ... a machine with disk.arguments and the device f"vhost-user-blk-pci,chardev={disk.id},..."
    disk.misses

It knows of guest memory only what the front end (QEMU) has put into its IOTLB: it asks for each
address that is not there, takes no address for an answer to another, drops what it is told to drop.

The back end that QEMU brings (qemu-storage-daemon, 7.2) is of no use here: it does not offer
VIRTIO_F_ACCESS_PLATFORM, so QEMU refuses the device ("iommu_platform=true is not supported by the
device"), and libvhost-user, which it is made of, has no code for VHOST_USER_IOTLB_MSG.

The protocol: QEMU's docs/interop/vhost-user.rst. The ring and the disk: virtio 1.2, 2.7 and 5.2.
"""
import array
import bisect
import collections
import contextlib
import mmap
import os
import select
import socket
import struct
import threading
from dataclasses import dataclass

# Feature bits.
BLK_SEG_MAX, BLK_FLUSH, INDIRECT_DESC, PROTOCOL_FEATURES, VERSION_1, ACCESS_PLATFORM = 2, 9, 28, 30, 32, 33
FEATURES = sum(1 << bit for bit in (
    BLK_SEG_MAX, BLK_FLUSH, INDIRECT_DESC, PROTOCOL_FEATURES, VERSION_1, ACCESS_PLATFORM))
MQ, REPLY_ACK, BACKEND_REQ, CONFIG = 0, 3, 5, 9
PROTOCOL = sum(1 << bit for bit in (MQ, REPLY_ACK, BACKEND_REQ, CONFIG))

# Of a message's flags.
VERSION, REPLY, NEED_REPLY = 1, 4, 8
IOTLB_MISS, IOTLB_UPDATE, IOTLB_INVALIDATE = 1, 2, 3
READ, WRITE = 1, 2  # what an entry of the IOTLB permits

# The ring's.
NEXT, WRITABLE, INDIRECT = 1, 2, 4
IN, OUT, FLUSH, GET_ID = 0, 1, 4, 8
OK, UNSUPPORTED = 0, 2
SEGMENTS = 254


class Fault(Exception):
    """An address that the front end has no memory for."""


class Stopped(Exception):
    """The front end wants the ring back; the request at hand is as if it had not been seen."""


@dataclass
class Region:
    """A piece of guest memory, as the front end names it by its own addresses."""

    address: int
    size: int
    offset: int
    memory: memoryview


@dataclass
class Entry:
    """Of the IOTLB: bus addresses and where in the front end's address space they lead."""

    start: int
    size: int
    address: int
    permission: int


class Iotlb:
    """What the front end has said, and not taken back."""

    def __init__(self):
        self.entries = []  # by their starts, none overlaps another

    def find(self, address):
        place = bisect.bisect_right(self.entries, address, key=lambda entry: entry.start)
        if place and address < self.entries[place - 1].start + self.entries[place - 1].size:
            return self.entries[place - 1]
        return None

    def drop(self, start, size):
        """Whatever overlaps goes whole: an entry too few costs a miss, one too many is a hole."""
        first = bisect.bisect_right(self.entries, start, key=lambda entry: entry.start)
        if first and self.entries[first - 1].start + self.entries[first - 1].size > start:
            first -= 1
        last = bisect.bisect_left(self.entries, start + size, key=lambda entry: entry.start)
        dropped = self.entries[first:last]
        del self.entries[first:last]
        return dropped

    def add(self, entry):
        self.drop(entry.start, entry.size)
        bisect.insort(self.entries, entry, key=lambda entry: entry.start)


class Ring:
    def __init__(self):
        self.size = self.next = self.descriptors = self.driver = self.device = 0
        self.kick = self.call = None
        self.enabled = self.started = False


class VhostUserDisk:
    """Serves one front end at a time, in a thread. Counted: `misses`, `updates`, `invalidations`,
    `requests`, `failed` (requests). `faults`: the addresses that the front end had nothing for.
    `errors`: what else went wrong. `entries`: what the IOTLB holds now."""

    def __init__(self, path, image, id="vhost"):
        self.path, self.id = str(path), id
        self.arguments = ["-chardev", f"socket,id={id},path={path}"]
        self.misses = self.updates = self.invalidations = self.requests = self.failed = 0
        self.largest = 0  # bytes of the largest entry ever
        self.faults, self.errors = [], []
        self.refused = set()  # opcodes of the driver that are not served
        self.log = collections.deque(maxlen=200)
        self._image = os.open(image, os.O_RDWR)
        self._sectors = os.fstat(self._image).st_size >> 9
        self._stop, self._stopped = os.pipe()
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(self.path)
        self._listener.listen(1)
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._reset()

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        os.write(self._stopped, b"x")
        self._thread.join()
        for file in (self._image, self._stop, self._stopped):
            os.close(file)
        self._listener.close()

    @property
    def entries(self):
        return list(self._iotlb.entries)

    def counts(self):
        """A copy of the counters, to subtract from later ones."""
        return collections.Counter(misses=self.misses, updates=self.updates,
                                   invalidations=self.invalidations, requests=self.requests)

    def _reset(self):
        self._main = self._back = None
        self._regions, self._features = [], 0
        self._iotlb = Iotlb()
        self._rings = collections.defaultdict(Ring)
        self._busy = None  # the ring whose request is at work
        self._retry = set()

    # The connection.

    def _serve(self):
        while self._wait([self._listener]):
            self._main, _ = self._listener.accept()
            try:
                self._talk()
            except (ConnectionError, EOFError):
                pass  # QEMU has ended
            except Exception as error:
                self.errors.append(repr(error))
            finally:
                self._main.close()
                if self._back:
                    self._back.close()
                for ring in self._rings.values():
                    self._forget(ring)
                self._reset()

    def _wait(self, files):
        """Those that have something to read; none when all is to end."""
        ready, _, _ = select.select([*files, self._stop], [], [])
        return [] if self._stop in ready else ready

    def _talk(self):
        while True:
            kicks = {ring.kick: ring for ring in self._rings.values() if ring.kick is not None}
            ready = self._wait([self._main, *kicks])
            if not ready:
                return
            if self._main in ready:
                self._message()
                continue
            for kick in ready:
                with contextlib.suppress(BlockingIOError):
                    os.read(kick, 8)
                self._run(kicks[kick])

    def _read(self, file, size):
        data = b""
        while len(data) < size:
            data += (piece := file.recv(size - len(data)))
            if not piece:
                raise EOFError
        return data

    def _answer(self, file, request, payload):
        file.sendall(struct.pack("<III", request, VERSION | REPLY, len(payload)) + payload)

    def _message(self):
        """Does what the front end asks."""
        files = array.array("i")
        header, ancillary, _, _ = self._main.recvmsg(12, socket.CMSG_SPACE(8 * 4))
        if not header:
            raise EOFError
        for level, kind, data in ancillary:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                files.frombytes(data[:len(data) // 4 * 4])
        header += self._read(self._main, 12 - len(header))
        request, flags, size = struct.unpack("<III", header)
        payload = self._read(self._main, size)
        name = self.MESSAGES.get(request)
        if not name:
            raise ValueError(f"message {request} from the front end")
        self.log.append((name, payload[:40].hex()))
        answer = getattr(self, "_" + name)(payload, list(files))
        if answer is not None:
            self._answer(self._main, request, answer)
        elif flags & NEED_REPLY:
            self._answer(self._main, request, struct.pack("<Q", 0))

    MESSAGES = {
        1: "get_features", 2: "set_features", 3: "set_owner", 4: "reset_owner", 5: "set_mem_table",
        8: "set_vring_num", 9: "set_vring_addr", 10: "set_vring_base", 11: "get_vring_base",
        12: "set_vring_kick", 13: "set_vring_call", 14: "set_vring_err", 15: "get_protocol_features",
        16: "set_protocol_features", 17: "get_queue_num", 18: "set_vring_enable", 21: "set_backend_req_fd",
        22: "iotlb_message", 24: "get_config", 25: "set_config", 34: "reset_device", 39: "set_status", 40: "get_status",
    }

    def _get_features(self, payload, files):
        return struct.pack("<Q", FEATURES)

    def _set_features(self, payload, files):
        (self._features,) = struct.unpack("<Q", payload)

    def _set_owner(self, payload, files):
        pass

    _reset_owner = _reset_device = _set_owner

    def _set_mem_table(self, payload, files):
        count, _ = struct.unpack_from("<II", payload)
        self._regions = []
        for number in range(count):
            _, size, address, offset = struct.unpack_from("<4Q", payload, 8 + 32 * number)
            memory = mmap.mmap(files[number], offset + size)
            self._regions.append(Region(address, size, offset, memoryview(memory)))
        for file in files:
            os.close(file)

    def _set_vring_num(self, payload, files):
        number, size = struct.unpack("<II", payload)
        self._rings[number].size = size

    def _set_vring_addr(self, payload, files):
        number, _, descriptors, device, driver, _ = struct.unpack("<IIQQQQ", payload)
        ring = self._rings[number]
        ring.descriptors, ring.driver, ring.device = descriptors, driver, device

    def _set_vring_base(self, payload, files):
        number, base = struct.unpack("<II", payload)
        self._rings[number].next = base

    def _get_vring_base(self, payload, files):
        number, _ = struct.unpack("<II", payload)
        ring = self._rings[number]
        ring.started = False
        self._forget(ring)
        return struct.pack("<II", number, ring.next)

    def _forget(self, ring):
        for file in (ring.kick, ring.call):
            if file is not None:
                os.close(file)
        ring.kick = ring.call = None

    def _descriptor(self, payload, files, name):
        (number,) = struct.unpack("<Q", payload)
        ring = self._rings[number & 0xFF]
        if getattr(ring, name) is not None:
            os.close(getattr(ring, name))
        setattr(ring, name, files[0] if files else None)
        return ring

    def _set_vring_kick(self, payload, files):
        ring = self._descriptor(payload, files, "kick")
        ring.started = True

    def _set_vring_call(self, payload, files):
        self._descriptor(payload, files, "call")

    def _set_vring_err(self, payload, files):
        for file in files:
            os.close(file)

    def _get_protocol_features(self, payload, files):
        return struct.pack("<Q", PROTOCOL)

    def _set_protocol_features(self, payload, files):
        pass

    def _get_queue_num(self, payload, files):
        return struct.pack("<Q", 1)

    def _set_vring_enable(self, payload, files):
        number, enabled = struct.unpack("<II", payload)
        self._rings[number].enabled = bool(enabled)

    def _set_backend_req_fd(self, payload, files):
        if self._back:
            self._back.close()
        self._back = socket.socket(fileno=files[0])

    def _get_config(self, payload, files):
        offset, size, flags = struct.unpack_from("<III", payload)
        config = struct.pack("<QII", self._sectors, 0, SEGMENTS).ljust(256, b"\0")
        return struct.pack("<III", offset, size, flags) + config[offset:offset + size].ljust(size, b"\0")

    def _set_config(self, payload, files):
        pass

    def _set_status(self, payload, files):
        pass

    def _get_status(self, payload, files):
        return struct.pack("<Q", 0)

    # The IOTLB.

    def _iotlb_message(self, payload, files):
        start, size, address, permission, kind = struct.unpack_from("<QQQBB", payload)
        if kind == IOTLB_UPDATE:
            self.updates += 1
            self.largest = max(self.largest, size)
            self._iotlb.add(Entry(start, size, address, permission))
        elif kind == IOTLB_INVALIDATE:
            self.invalidations += 1
            self._iotlb.drop(start, size)
        else:
            raise ValueError(f"IOTLB message {kind}")

    def _miss(self, address, write):
        """Asks the front end. Its answer comes by the main channel, before the acknowledgement."""
        self.misses += 1
        self.log.append(("miss", hex(address)))
        message = struct.pack("<QQQBB6x", address, 0, 0, WRITE if write else READ, IOTLB_MISS)
        self._back.sendall(struct.pack("<III", 1, VERSION | NEED_REPLY, len(message)) + message)
        refused = None
        while refused is None:
            ready = self._wait([self._main, self._back])
            if not ready:
                raise EOFError
            # What came first must be done first.
            if self._main in ready:
                self._message()
            elif self._back in ready:
                _, _, size = struct.unpack("<III", self._read(self._back, 12))
                (refused,) = struct.unpack("<Q", self._read(self._back, size))
        if not self._busy.started:
            raise Stopped
        if refused:
            raise Fault(hex(address))

    def _views(self, address, size, write):
        """The memory behind bus addresses, piece by piece."""
        pieces = []
        while size:
            entry = self._iotlb.find(address)
            if not entry or not entry.permission & (WRITE if write else READ):
                self._miss(address, write)
                entry = self._iotlb.find(address)
                if not entry or not entry.permission & (WRITE if write else READ):
                    raise Fault(hex(address))
            there = entry.address + address - entry.start
            length = min(size, entry.start + entry.size - address)
            region = next((region for region in self._regions
                           if region.address <= there and there + length <= region.address + region.size), None)
            if not region:
                raise Fault(f"{address:#x}: an entry that leads out of the memory")
            place = region.offset + there - region.address
            pieces.append(region.memory[place:place + length])
            address += length
            size -= length
        return pieces

    def _get(self, address, size):
        return b"".join(bytes(piece) for piece in self._views(address, size, False))

    def _put(self, address, data):
        for piece in self._views(address, len(data), True):
            piece[:] = data[:len(piece)]
            data = data[len(piece):]

    # The disk.

    def _run(self, ring):
        """All requests that the driver has made available."""
        while ring.started and ring.enabled:
            self._busy = ring
            try:
                (available,) = struct.unpack("<H", self._get(ring.driver + 2, 2))
                if available == ring.next:
                    return
                slot = ring.driver + 4 + 2 * (ring.next % ring.size)
                (head,) = struct.unpack("<H", self._get(slot, 2))
                length = self._request(ring, head)
                slot = ring.device + 4 + 8 * (ring.next % ring.size)
                self._put(slot, struct.pack("<II", head, length))
                self._put(ring.device + 2, struct.pack("<H", (ring.next + 1) & 0xFFFF))
                # Taking a request and giving it back are one: whoever stops the ring sees both or none.
                ring.next = (ring.next + 1) & 0xFFFF
                self.requests += 1
            except Stopped:
                return
            except Fault as fault:
                self.faults.append(str(fault))
                ring.started = False
                return
            finally:
                self._busy = None
            if ring.call is not None:
                os.write(ring.call, struct.pack("<Q", 1))

    def _chain(self, table, index):
        """Descriptors: (address, size, writable)."""
        found = []
        while True:
            address, size, flags, following = struct.unpack("<QIHH", self._get(table + 16 * index, 16))
            if flags & INDIRECT:
                table, index = address, 0
                continue
            found.append((address, size, bool(flags & WRITABLE)))
            if not flags & NEXT:
                return found
            index = following

    def _request(self, ring, head):
        """Returns how much has been written to the driver's memory."""
        (address, size, _), *data, (status, _, _) = self._chain(ring.descriptors, head)
        assert size == 16
        kind, _, sector = struct.unpack("<IIQ", self._get(address, size))
        pieces = [piece for address, size, writable in data for piece in self._views(address, size, writable)]
        length = sum(map(len, pieces))
        result = OK
        if kind in (IN, OUT):
            transfer = os.preadv if kind == IN else os.pwritev
            # The system takes 1024 pieces at most.
            for first in range(0, len(pieces), 1024):
                part = pieces[first:first + 1024]
                done = transfer(self._image, part, sector << 9)
                assert done == sum(map(len, part)), "a short transfer"
                sector += done >> 9
        elif kind == FLUSH:
            os.fdatasync(self._image)
        elif kind == GET_ID:
            pieces[0][:] = b"vhost-user".ljust(len(pieces[0]), b"\0")
        else:
            self.refused.add(kind)
            result = UNSUPPORTED
        self._put(status, bytes([result]))
        return 1 + (length if kind in (IN, GET_ID) else 0)
