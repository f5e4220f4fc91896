"""Defects of the commit path, as patches: what the tests of this folder must catch."""

from __future__ import annotations

from tests.tools.mutant import Mutant

SINGLE = ("sweep", "single", "3x2", "1", "2")
SLOTS = ("sweep", "single", "4x1", "1", "2")
CHAIN = ("sweep", "chain", "3x2", "1", "60", "100")
CHAIN4 = ("sweep", "chain", "3x4", "1", "60", "100")
TWO = ("sweep", "chain", "2x4", "1", "60", "100")
CACHE = ("sweep", "cache", "4x1", "1", "200")
DAMAGE = ("sweep", "damage", "3x2", "1", "20")
SECTORS = ("sweep", "chain", "sd2", "1", "40", "100")
SECTORS3 = ("sweep", "chain", "sd3", "9", "80", "300")
ANSWERS = ("lies", "answers", "3x2")
SILENT = ("lies", "silent", "3x2")
SILENT3 = ("lies", "silent", "3by3")
ANSWERS3 = ("lies", "answers", "3by3")
CELLS = ("lies", "cells", "3x2", "1", "20")
PAIRS = ("sweep", "pair", "5x1", "1", "0", "1")
PAIRS3 = ("sweep", "pair", "2x1", "3", "0", "1")
PAIRS4 = ("sweep", "pair", "3x2", "4", "0", "1")
TURNED = ("lies", "turned", "3x2")
FLIPS = ("leases", "flips", "3x2")
MUTATED = ("leases", "mutated", "3x2", "1", "3000")
# The whole set passes on the module as it is.
BATTERY = (SINGLE, SLOTS, CHAIN, CHAIN4, TWO, CACHE, DAMAGE, SECTORS, ANSWERS, SILENT, CELLS)
BATTERY += (SECTORS3, PAIRS, PAIRS3, PAIRS4, TURNED, FLIPS, MUTATED, SILENT3, ANSWERS3)


MUTANTS: tuple[Mutant, ...] = (
    Mutant(
        "header before data",
        "commit.py",
        """        self.flush(pos)
        self.prove()
        self.commit()
""",
        """        held = bytes(self.buf)
        crc = bytes(self.crc)
        crc32.update(self.crc, self.buf, 0, pos)
        self.data_len += pos
        self.commit()
        self.data_len -= pos
        self.crc[:] = crc
        self.buf[:] = held
        self.flush(pos)
        self.prove()
""",
        (SINGLE,),
    ),
    Mutant(
        "no read-back of the data",
        "commit.py",
        """        self.flush(pos)
        self.prove()
""",
        """        self.flush(pos)
""",
        (SILENT,),
    ),
    Mutant(
        "no read-back of the header",
        "commit.py",
        "if ring.block != self.header.block:",
        "if False:",
        (SILENT,),
    ),
    Mutant(
        "the erase is skipped where the unit reads blank",
        "slots.py",
        """        if self.group_units:
            self.lease.erase(group * self.group_units, self.group_units)
""",
        """        if self.group_units:
            try:
                return self._prove_blank(group)
            except CheckpointFailed:
                pass
            self.lease.erase(group * self.group_units, self.group_units)
""",
        (SINGLE, CHAIN),
    ),
    Mutant(
        "the slot after the newest is used again after a restart",
        "slots.py",
        """        self._skip_more = self._claimed(-1)
        self._claims = {}
        self._resume()
""",
        """        self._claims = {}
        self._next = self.newest + 1
        self._limit = (self.newest // self.per_group + 1) * self.per_group
""",
        (SINGLE,),
    ),
    Mutant(
        "a header is trusted without its CRC",
        "header.py",
        "sound = acc == bytes(buf[60:64])",
        "sound = True",
        (SINGLE,),
    ),
    Mutant(
        "the unit of the newest checkpoint is erased",
        "slots.py",
        """        if self.newest >= 0 and group == self.newest // self.per_group:
            group = self._after(group)
""",
        """        if self.newest >= 0:
            group = self.newest // self.per_group
""",
        (SINGLE,),
    ),
    Mutant(
        "no sync between data and header",
        "commit.py",
        """            self.write(1, pos, self.ring.block)
        self.ring.lease.sync()
""",
        """            self.write(1, pos, self.ring.block)
""",
        (CACHE,),
    ),
    Mutant(
        "no sync after the header",
        "commit.py",
        """        ring.programs += 1
        ring.lease.sync()
""",
        """        ring.programs += 1
""",
        (CACHE,),
    ),
    Mutant(
        "an erase is not read back",
        "slots.py",
        """            self.lease.sync()
            self._prove_blank(group)
""",
        """            self.lease.sync()
""",
        (ANSWERS, CELLS),
    ),
    Mutant(
        "of a slot of several units one is read back after the erase",
        "slots.py",
        "        end = at + self._group_blocks\n",
        "        end = at + self.lease.unit_blocks\n",
        (SILENT3, ANSWERS3),
    ),
    Mutant(
        "answers of the device are not looked at",
        "lease.py",
        "if r is not None and r is not True and (r is False or r != 0):",
        "if False:",
        (ANSWERS,),
    ),
    Mutant(
        "the number of a checkpoint that failed is given again",
        "commit.py",
        """        ring.sequence += 1
        self.header.stamp(self.data_len, ring.sequence, self.slot, self.crc)
""",
        """        if ring.newest >= 0:
            ring.sequence = ring.read_header(ring.newest).sequence
        ring.sequence += 1
        self.header.stamp(self.data_len, ring.sequence, self.slot, self.crc)
""",
        (ANSWERS,),
    ),
    Mutant(
        "the number of a torn header is given again",
        "slots.py",
        "        self.sequence += self._skip\n",
        "",
        (PAIRS4,),
    ),
    Mutant(
        "a slot that failed is handed out again",
        "slots.py",
        """        self._next += 1
        return self._next - 1
""",
        """        return self._next
""",
        (SINGLE, ANSWERS),
    ),
    Mutant(
        "the data CRC is not checked",
        "slots.py",
        'return int.from_bytes(acc, "little") == h.data_crc',
        "return True",
        (DAMAGE,),
    ),
    Mutant(
        "the newest is the last slot, not the highest sequence",
        "slots.py",
        """        found.sort()
        found.reverse()
""",
        """        found.sort(key=lambda x: x[1])
        found.reverse()
""",
        (SINGLE,),
    ),
    Mutant(
        "one good read of a header is a commit",
        "stage.py",
        "            state, text = _read(ring, ring.found, ring.newest, schema, into)\n",
        """            h = ring.read_header(ring.newest)
            if h is None:
                raise RestoreFailed("header", None, "a")
            state, text = _read(ring, h, ring.newest, schema, into)
""",
        (SINGLE, CHAIN),
    ),
    Mutant(
        "a header that does not read valid is looked at once",
        "probe.py",
        "    for _ in range(_LOOKS):\n",
        "    for _ in range(0):\n",
        (TURNED,),
    ),
    Mutant(
        "a header that reads differently each time passes for a corrupt one",
        "probe.py",
        "        cut = cut or lease.erases and block != first\n",
        "",
        (PAIRS3,),
    ),
    Mutant(
        "a torn header is left where the next one may be cut",
        "slots.py",
        "            self._clear(group)\n",
        "            pass\n",
        (SECTORS3,),
    ),
    Mutant(
        "data that does not read right is read once",
        "slots.py",
        """        for _ in range(_READS):
            if self._read_data""",
        """        for _ in range(1):
            if self._read_data""",
        (TURNED,),
    ),
    Mutant(
        "the corrupt newest is passed over without a word",
        "stage.py",
        "if ring.newest < 0 or doubtful and not fallback:",
        "if ring.newest < 0:",
        (FLIPS,),
    ),
    Mutant(
        "the lease id is not compared",
        "slots.py",
        "if h.lease_id != self.lease.id_bytes:",
        "if False:",
        (MUTATED,),
    ),
)
