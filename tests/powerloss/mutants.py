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
BAD = ("bad_units", "lives", "8x2", "1", "40")
LOST = ("neighbours", "lost", "nor66", "60", "40")
LOST_FULL = ("neighbours", "lost", "nor66", "130", "40")
FLAKY = ("flaky", "boots", "6x1", "1", "30")
FLAKY_FIRST = ("flaky", "first", "sd8", "1", "60")
# The whole set passes on the module as it is.
BATTERY = (SINGLE, SLOTS, CHAIN, CHAIN4, TWO, CACHE, DAMAGE, SECTORS, ANSWERS, SILENT, CELLS)
BATTERY += (SECTORS3, PAIRS, PAIRS3, PAIRS4, TURNED, FLIPS, MUTATED, SILENT3, ANSWERS3)
BATTERY += (BAD, LOST, LOST_FULL, FLAKY, FLAKY_FIRST)


MUTANTS: tuple[Mutant, ...] = (
    Mutant(
        "header before data",
        "commit.py",
        """            if self._write_all(pieces, tail, n) and self.prove() and self.seal():
""",
        """            self.data_len = n + sum(len(p) for p in pieces)
            for p in pieces:
                crc32.update(self.crc, p, 0, len(p))
            crc32.update(self.crc, tail, 0, n)
            sealed = self.seal()
            self.data_len = 0
            crc32.reset(self.crc)
            if sealed and self._write_all(pieces, tail, n) and self.prove():
""",
        (SINGLE,),
    ),
    Mutant(
        "no read-back of the data",
        "commit.py",
        "        if self._back != self.crc:\n",
        "        if False:\n",
        (SILENT,),
    ),
    Mutant(
        "no read-back of the header",
        "commit.py",
        "        if self.block != self.header.block:\n",
        "        if False:\n",
        (SILENT,),
    ),
    Mutant(
        "the erase is skipped where the unit reads blank",
        "ring.py",
        "        while self.lease.erase(group * self.group_units, self.group_units):\n",
        """        if self._is_blank(group):
            return True
        while self.lease.erase(group * self.group_units, self.group_units):
""",
        (SINGLE, CHAIN),
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
        "ring.py",
        "            if not self._is_bad(group) and not self._is_home(group):\n",
        "            if not self._is_bad(group) and (self.newest < 0 or self._is_home(group)):\n",
        (SINGLE,),
    ),
    Mutant(
        "the unit of the checkpoint before a newest that was cut is erased",
        "scan.py",
        "        if self.per_group > 1 and ",
        "        if False and ",
        (CHAIN4,),
    ),
    Mutant(
        "no sync between data and header",
        "commit.py",
        "                return False\n        return self.ring.lease.sync()\n",
        "                return False\n        return True\n",
        (CACHE,),
    ),
    Mutant(
        "no sync after the header",
        "commit.py",
        "        if not ring.lease.sync() or not read(ring.lease, at, self.block):\n",
        "        if not read(ring.lease, at, self.block):\n",
        (CACHE,),
    ),
    Mutant(
        "an erase is not read back",
        "ring.py",
        "            if not self.lease.sync() or not self._is_blank(group):\n",
        "            if not self.lease.sync():\n",
        (ANSWERS, CELLS),
    ),
    Mutant(
        "of a slot of several units one is read back after the erase",
        "ring.py",
        "lease.read_each(at, self.group_blocks, ",
        "lease.read_each(at, lease.unit_blocks, ",
        (SILENT3, ANSWERS3),
    ),
    Mutant(
        "answers of the device are not looked at",
        "lease.py",
        "        if self.answer is not None and _says_no(self.answer):\n"
        "            return False\n",
        "",
        (ANSWERS,),
    ),
    Mutant(
        "a read-back that the device refused is taken for one",
        "lease.py",
        "            if answer is not None and _says_no(answer):\n                return answer\n",
        "",
        (ANSWERS,),
    ),
    Mutant(
        "after a read that failed the block is passed over",
        "lease.py",
        "            block = self.at\n",
        "            block = self.at + 1\n",
        (ANSWERS, FLAKY),
    ),
    Mutant(
        "a slot that failed is handed out again",
        "ring.py",
        """        self._left[i] -= 1
        slot = self._next[i]
        self._next[i] = slot + 1 if self._left[i] else slot
""",
        """        slot = self._next[i]
""",
        (SINGLE, ANSWERS),
    ),
    Mutant(
        "the data CRC is not checked",
        "scan.py",
        'return int.from_bytes(acc, "little") == h.data_crc',
        "return True",
        (DAMAGE,),
    ),
    Mutant(
        "the newest is the last slot, not the highest sequence",
        "scan.py",
        "        return sorted([(n, slot) for slot, n in self.sound.items()], reverse=True)\n",
        """        return sorted(
            [(n, slot) for slot, n in self.sound.items()], key=lambda x: x[1], reverse=True
        )
""",
        (SINGLE,),
    ),
    Mutant(
        "one good read of a header is a commit",
        "restore.py",
        "            state, text = read_state(ring, ring.found, ring.newest, schema, into, migrate)\n",  # noqa: E501
        """            h = ring.read_header(ring.newest)
            if h is None:
                raise RestoreFailed("header", None, "a")
            state, text = read_state(ring, h, ring.newest, schema, into, migrate)
""",
        (SINGLE, CHAIN),
    ),
    Mutant(
        "a header that reads differently each time passes for a corrupt one",
        "look.py",
        "        cut = cut or lease.erases and not firm\n",
        "",
        (PAIRS3,),
    ),
    Mutant(
        "a torn header is left where the next one may be cut",
        "ring.py",
        " if self.group_units else self._clear_header(group)):\n",
        " if self.group_units else True):\n",
        (SECTORS3,),
    ),
    Mutant(
        "data that does not read right is read once",
        "scan.py",
        """    for _ in range(_READS):
        if _read_data(""",
        """    for _ in range(1):
        if _read_data(""",
        (TURNED,),
    ),
    Mutant(
        "the corrupt newest is passed over without a word",
        "restore.py",
        "        if ring.newest < 0 or doubtful and not fallback:\n",
        "        if ring.newest < 0:\n",
        (FLIPS,),
    ),
    Mutant(
        "the lease id is not compared",
        "scan.py",
        "            h.lease_id != self.lease.id_bytes\n            or ",
        "            ",
        (MUTATED,),
    ),
    Mutant(
        "a checkpoint that meets a bad unit fails",
        "commit.py",
        """            self.fail()
            if not self._goes_on():
""",
        """            self.fail()
            if True:
""",
        (BAD,),
    ),
    Mutant(
        "units given up are never forgiven",
        "ring.py",
        "        fill(self._bad, 0, len(self._bad), 0)\n        self.given_up = 0\n        i = 0",
        "        i = 0",
        (ANSWERS, BAD),
    ),
    Mutant(
        "one flipped bit is not mended",
        "look.py",
        "    for bit in _suspects(block):\n",
        "    for bit in ():\n",
        (FLIPS,),
    ),
    Mutant(
        "the end that a search finds is not proved",
        "scan.py",
        "            if number > newest or",
        "            if",
        (LOST, LOST_FULL),
    ),
    Mutant(
        "what is lost right behind the newest is not stepped over",
        "look.py",
        "    over = _lost_behind(scan) if scan.slots > WHOLE else 0\n",
        "    over = 0\n",
        (LOST, LOST_FULL),
    ),
    Mutant(
        "the first checkpoint of a card is written once",
        "commit.py",
        "        if self.ring.single and self.ring.lease.errs:\n",
        "        if False:\n",
        (FLAKY_FIRST,),
    ),
)
