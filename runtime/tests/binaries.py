"""Reads what a shared library exports and needs, in the formats of Linux, macOS and Windows.

As much as the tests need, so that a library can be checked on a machine that cannot load it.
"""

import hashlib
import struct
from dataclasses import dataclass, field


@dataclass
class Binary:
    """What a system's loader sees of a library.

    Attributes:
        kind: "elf", "macho" or "pe".
        machine: The number of the processor, as the format has it.
        exported: Names of the functions that others can call.
        needed: Names of the libraries that it is linked with.
        alignment: In bytes, of the segments that are loaded (ELF).
        oldest: The oldest system that it is for (Mach-O), as (major, minor).
        is_signed: Whether it has a signature, and the signature is that of its bytes (Mach-O).
    """

    kind: str
    machine: int
    exported: set = field(default_factory=set)
    needed: set = field(default_factory=set)
    alignment: int = 0
    oldest: tuple = ()
    is_signed: bool = False


def text(data, start):
    return data[start : data.index(b"\0", start)].decode()


def read_elf(data):
    is_64 = data[4] == 2
    (machine,) = struct.unpack_from("<H", data, 18)
    programs, sections = struct.unpack_from("<QQ" if is_64 else "<II", data, 32 if is_64 else 28)
    size, count, section_size, section_count = struct.unpack_from("<4H", data, 54 if is_64 else 42)
    found = Binary("elf", machine)
    align_at = (48, "<Q") if is_64 else (28, "<I")
    loaded = []
    for at in range(programs, programs + size * count, size):
        if struct.unpack_from("<I", data, at) == (1,):  # PT_LOAD
            loaded += struct.unpack_from(align_at[1], data, at + align_at[0])
    found.alignment = min(loaded)
    headers = []
    for at in range(sections, sections + section_size * section_count, section_size):
        (kind,) = struct.unpack_from("<I", data, at + 4)
        if is_64:
            offset, length, link = struct.unpack_from("<QQI", data, at + 24)
        else:
            offset, length, link = struct.unpack_from("<III", data, at + 16)
        headers.append((kind, offset, length, link))
    for kind, offset, length, link in headers:
        names = headers[link][1]
        if kind == 11:  # SHT_DYNSYM
            form = struct.Struct("<IBBHQQ" if is_64 else "<IIIBBH")
            for fields in form.iter_unpack(data[offset : offset + length]):
                info, section = (fields[1], fields[3]) if is_64 else (fields[3], fields[5])
                if section != 0 and info >> 4 in (1, 2):  # defined here; global or weak
                    found.exported.add(text(data, names + fields[0]))
        elif kind == 6:  # SHT_DYNAMIC
            form = struct.Struct("<qQ" if is_64 else "<iI")
            for tag, value in form.iter_unpack(data[offset : offset + length]):
                if tag == 1:  # DT_NEEDED
                    found.needed.add(text(data, names + value))
    return found


def uleb(data, at):
    """A number of 7 bits a byte, and where it ends."""
    number = shift = 0
    while True:
        byte = data[at]
        number |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return number, at


def trie(data, at=0, name=""):
    """The names in the tree of exported symbols of a Mach-O file."""
    size, at = uleb(data, at)
    if size:
        yield name
    children, at = data[at + size], at + size + 1
    for _ in range(children):
        part = text(data, at)
        child, at = uleb(data, at + len(part) + 1)
        yield from trie(data, child, name + part)


def is_signed(data, start):
    """Whether the hashes of a signature are those of the pages of the file."""
    _, _, count = struct.unpack_from(">3I", data, start)
    for i in range(count):
        _, offset = struct.unpack_from(">2I", data, start + 12 + 8 * i)
        directory = start + offset
        if struct.unpack_from(">I", data, directory) != (0xFADE0C02,):
            continue
        hashes, _, _, slots, limit = struct.unpack_from(">5I", data, directory + 16)
        length, kind, _, page = struct.unpack_from("4B", data, directory + 36)
        pages = [data[at : min(limit, at + 2**page)] for at in range(0, limit, 2**page)]
        expected = b"".join(hashlib.sha256(page).digest() for page in pages)
        first = directory + hashes
        found = data[first : first + len(expected)]
        return (length, kind, slots, limit) == (32, 2, len(pages), start) and found == expected
    return False


def read_macho(data):
    machine, _, _, count = struct.unpack_from("<4I", data, 4)
    found = Binary("macho", machine)
    at = 32
    for _ in range(count):
        command, size = struct.unpack_from("<2I", data, at)
        if command in (0xC, 0x80000018):  # LC_LOAD_DYLIB, LC_LOAD_WEAK_DYLIB
            found.needed.add(text(data, at + struct.unpack_from("<I", data, at + 8)[0]))
        elif command == 0x32:  # LC_BUILD_VERSION
            (oldest,) = struct.unpack_from("<I", data, at + 12)
            found.oldest = (oldest >> 16, oldest >> 8 & 255)
        elif command in (0x22, 0x80000022, 0x80000033):  # LC_DYLD_INFO, LC_DYLD_EXPORTS_TRIE
            place = at + (8 if command == 0x80000033 else 40)
            start, length = struct.unpack_from("<2I", data, place)
            # C names begin with an underscore there.
            found.exported |= {name[1:] for name in trie(data[start : start + length])}
        elif command == 0x1D:  # LC_CODE_SIGNATURE
            found.is_signed = is_signed(data, struct.unpack_from("<I", data, at + 8)[0])
        at += size
    return found


def read_pe(data):
    (header,) = struct.unpack_from("<I", data, 0x3C)
    machine, count = struct.unpack_from("<2H", data, header + 4)
    (optional_size,) = struct.unpack_from("<H", data, header + 20)
    found = Binary("pe", machine)
    areas = [
        struct.unpack_from("<4I", data, header + 24 + optional_size + 40 * i + 8)
        for i in range(count)
    ]

    def place(address):
        for _, start, size, offset in areas:
            if start <= address < start + size:
                return address - start + offset
        raise ValueError(f"No section has the address {address}.")

    exports, _, imports, _ = struct.unpack_from("<4I", data, header + 24 + 112)
    (names,) = struct.unpack_from("<I", data, place(exports) + 24)
    (name_table,) = struct.unpack_from("<I", data, place(exports) + 32)
    for address in struct.unpack_from(f"<{names}I", data, place(name_table)):
        found.exported.add(text(data, place(address)))
    at = place(imports)
    while name := struct.unpack_from("<5I", data, at)[3]:
        found.needed.add(text(data, place(name)))
        at += 20
    return found


def read(data):
    """What is in a library, given its bytes."""
    if data[:4] == b"\x7fELF":
        return read_elf(data)
    if data[:4] == b"\xcf\xfa\xed\xfe":
        return read_macho(data)
    if data[:2] == b"MZ":
        return read_pe(data)
    raise ValueError("It is no shared library of Linux, macOS or Windows.")
