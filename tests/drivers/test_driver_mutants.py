"""The tests of the drivers bite: each defect below is caught by the test named beside it."""

import sys

import pytest
from test_drivers import run_script, start_script

from tests.tools.mutant import Mutant

NOR = "drivers/spinor.py"
INFO = "drivers/sfdp.py"
SD = "drivers/sdcard.py"
PORTS = "drivers/adapters.py"


def nor(name, old, new, *tests, file=NOR):
    return Mutant(name, file, old, new, tuple(("nor_basic.py", f"test_{t}") for t in tests))


def chip(name, old, new, *tests, file=NOR):
    return Mutant(name, file, old, new, tuple(("nor_chips.py", f"test_{t}") for t in tests))


def sd(name, old, new, *tests):
    return Mutant(name, SD, old, new, tuple(("sd_basic.py", f"test_{t}") for t in tests))


def kinds(name, old, new, *tests):
    return Mutant(name, SD, old, new, tuple(("sd_kinds.py", f"test_{t}") for t in tests))


def guard(name, old, new, *tests):
    tests = tuple(("guards.py", f"test_{t}") for t in tests)
    return Mutant(name, "drivers/guard.py", old, new, tests)


def port(name, old, new, *tests):
    return Mutant(name, PORTS, old, new, tuple(("port_adapters.py", f"test_{t}") for t in tests))


MUTANTS = (
    nor(
        "the write enable latch is not looked at",
        "if self.status & (_WEL | _BUSY) == _WEL and self.status != 0xFF:",
        "if True:",
        "write_enable_that_is_missed",
    ),
    nor(
        "a program runs across the page",
        "if len(buf) <= self.page_size - off % self.page_size:",
        "if True:",
        "programs_never_cross_a_page",
    ),
    nor(
        "busy is not waited for",
        """            if not self.status & _BUSY:
                break
            if self._late():""",
        """            if True:
                break
            if self._late():""",
        "programs_never_cross_a_page",
    ),
    nor(
        "the busy wait is far too long",
        "self._limit = 0 if self._overdue else limit + _MARGIN_MS",
        "self._limit = 50 * limit",
        "stuck_busy",
    ),
    nor(
        "a command that was not taken passes",
        "if self.status & _WEL:  # 7.1.2",
        "if False:  # 7.1.2",
        "a_command_that_is_not_taken",
    ),
    nor(
        "fail flags are not looked at",
        "            if flags & mask:\n",
        "            if False:\n",
        "failures_that_the_chip_reports",
    ),
    nor(
        "the latch stays set after a failure",
        "        self._send_one(_WRDI)  # the latch stays set",
        "        # the latch stays set",
        "failures_that_the_chip_reports",
    ),
    nor(
        "protection bits are ignored",
        "if self.status & self._bp and not self._partly:",
        "if False:",
        "block_protection",
    ),
    nor(
        "3 address bytes above 16 MiB",
        "self._command = bytearray(5 if long else 4)",
        "self._command = bytearray(4)",
        "addresses_above_16_mib_by_mode",
    ),
    nor(
        "4-byte mode is not proved",
        """        if not self._register(self._mode_op) & self._mode_bit:
            raise OSError(_EIO""",
        """        if False:
            raise OSError(_EIO""",
        "no_guess_at_addresses_or_sectors",
    ),
    nor(
        "no wake from deep power-down at the start",
        """        self._query(b"\\xff\\xff", 0)
        self._send_one(_RELEASE)
""",
        """        self._query(b"\\xff\\xff", 0)
""",
        "deep_power_down",
    ),
    nor(
        "an operation from before the start is not waited for",
        "        self._wait(100, self._longest)\n",
        "        self._busy = False\n",
        "busy_at_the_start_is_waited_for",
    ),
    nor(
        "a read does not wait for an interrupted erase",
        """        if self._busy:
            self._wait(0, self._longest)
        if self._mode_op:""",
        """        if self._mode_op:""",
        "an_interrupted_wait_is_finished_by_the_next_call",
    ),
    nor(
        "an interrupted large erase gets the time of a small one",
        "self._longest = max(self._ms)",
        "self._longest = self._ms[-1]",
        "a_large_erase_that_was_interrupted_is_waited_for",
    ),
    nor(
        "large erases are not aligned",
        "while at % self._sizes[i] or at + self._sizes[i] > end:",
        "while at + self._sizes[i] > end:",
        "large_erases",
    ),
    nor(
        "a write of whole blocks does not erase them",
        "            self._erase_for(n, len(buf))\n",
        "",
        "two_arguments_erase_first",
    ),
    nor(
        "the end of the chip is not looked at",
        "if n < 0 or off < 0 or n * self.erase_size + off + size > self.size:",
        "if n < 0 or off < 0:",
        "bounds",
    ),
    nor(
        "longer times of the chip are not believed",
        "self.erase_ms[size] = max(ms * times, self.erase_ms.get(size, 0))",
        "pass",
        "sfdp_without_times_and_with_other_opcodes",
        file=INFO,
    ),
    nor(
        "a sector map is passed over",
        "elif h[0] == 0x81 and h[7] == 0xFF:",
        "elif False:",
        "no_guess_at_addresses_or_sectors",
        file=INFO,
    ),
    Mutant(
        "chip select stays low after Ctrl-C",
        NOR,
        """            self._spi.write_readinto(self._two, self._got)
        finally:
            self._cs(1)
""",
        """            self._spi.write_readinto(self._two, self._got)
            self._cs(1)
        finally:
            pass
""",
        (("spi_faults.py", "nor", "Ctrl-C"),),
    ),
    chip(
        "the mode of addresses is not looked at before a write",
        "if not self._mode_op or self._addresses():",
        "if True:",
        "a_supply_that_fails_in_4_byte_mode",
    ),
    chip(
        "the mode of addresses is not looked at before a read",
        "            self._addresses()\n",
        "            pass\n",
        "a_supply_that_fails_in_4_byte_mode",
    ),
    chip(
        "a suspended erase is not gone on with",
        "            self._send_one(op)\n        self._settled()\n        for op in _RESET",
        "            pass\n        self._settled()\n        for op in _RESET",
        "chips_as_another_owner_left_them",
    ),
    chip(
        "QPI is not left",
        '        self._query(b"\\xff\\xff\\xff\\xff", 0)\n        self._query(b"\\xff\\xff", 0)\n',
        "",
        "chips_as_another_owner_left_them",
    ),
    chip(
        "a chip is not unlocked",
        "            self._latch()\n            if op == _WRSR1:",
        "            return\n            if op == _WRSR1:",
        "chips_that_are_locked_at_power_up",
    ),
    chip(
        "XMC is Micron",
        "VENDORS.get(jedec[0] << 8 | jedec[1]) or",
        "VENDORS.get(0x20BA if jedec[0] == 0x20 else jedec[0] << 8 | jedec[1]) or",
        "xmc_is_not_micron",
        file=INFO,
    ),
    chip(
        "a listed chip is believed whatever its SFDP says",
        "if row and self.size and",
        "if row and False and",
        "chips_that_are_locked_at_power_up",
        file=INFO,
    ),
    chip(
        "the extended id is not looked at",
        "        if name.startswith(row[0]):",
        "        if True:",
        "chips_without_sfdp",
        file="drivers/chips.py",
    ),
    sd(
        "CRC16 of what is read is ignored",
        "if self.crc and crc16(buf, 0, 512) != self._crc_in[0] << 8 | self._crc_in[1]:",
        "if False:",
        "crc_errors_are_retried_and_counted",
    ),
    sd(
        "CRC16 of what is written is not sent",
        "n = crc16(buf, 0, 512) if self.crc else 0xFFFF",
        "n = 0xFFFF",
        "kinds_and_response_times",
    ),
    sd(
        "CRC is never switched on",
        "if self._want_crc and self._ask(_CRC_ON_OFF, 1) & ~_IDLE == 0:",
        "self.crc = True\n        if False:",
        "the_model_checks_crc_as_the_specification_says",
        "crc_errors_are_retried_and_counted",
        "kinds_and_response_times",
    ),
    sd(
        "the data response is ignored",
        "if self.response == _ACCEPTED:",
        "if True:",
        "rejected_data",
    ),
    sd(
        "the status after a write is ignored",
        "        elif self.r2:\n",
        "        elif False:\n",
        "status_after_writes",
    ),
    sd(
        "no stop token",
        """        self._head[1] = _STOP_TRAN
        self._spi.write(self._head)
""",
        "",
        "kinds_and_response_times",
    ),
    sd(
        "busy after a block is not waited for",
        "            self._gap_us = self._settle(self._gap_us)\n",
        "",
        "kinds_and_response_times",
    ),
    sd(
        "no limit to busy",
        "if self._late() and self._byte() != 0xFF:",
        "if self._diff(self._ticks(), self._since) > 20000:",
        "timeouts",
    ),
    sd(
        "the initialisation runs at full speed",
        "        self._rate = _INIT_BAUD\n",
        "",
        "init_is_slow_and_the_rest_fast",
    ),
    sd(
        "the speed is not raised afterwards",
        "            self._rate = self._baud\n",
        "",
        "init_is_slow_and_the_rest_fast",
    ),
    sd(
        "no clocks before the first command",
        '            self._spi.write(b"\\xff" * 16)  # 6.4.1: 74 clocks, chip select high\n',
        "",
        "kinds_and_response_times",
    ),
    sd(
        "byte addresses are forgotten",
        "        if self._byte_address:\n            # n * 512",
        "        if False:\n            # n * 512",
        "kinds_and_response_times",
    ),
    sd(
        "a data error token is taken for silence",
        "            if b != 0xFF:\n                return self._no_block(b)\n",
        "",
        "unreadable_sector",
    ),
    sd(
        "another card passes for the same",
        "if self.cid is not None and self.cid != cid:",
        "if False:",
        "another_card",
    ),
    sd(
        "an interrupted operation is not begun anew",
        "self.ready = self._doubt = False  # until this operation has come to its end",
        "self._doubt = False",
        "an_interrupted_operation",
        "removal_at_every_byte",
    ),
    kinds(
        "one high byte is the end of busy",
        "if self._byte() == 0xFF and self._byte() == 0xFF:",
        "if self._byte() == 0xFF:",
        "timing_and_kinds",
    ),
    kinds(
        "the other bytes of the OCR are not clocked",
        "ocr = self._four()",
        "ocr = bytes((self._next(), 0x80)) if self.r1 else bytes((self._next(), 0))",
        "timing_and_kinds",
    ),
    kinds(
        "a garbled CMD8 is a card before version 2",
        "r & ~_IDLE == _ILLEGAL and r == last",
        "r & ~_IDLE & _ILLEGAL",
        "what_cmd8_may_answer",
    ),
    kinds(
        "the speed of others stays",
        """        self._spi.init(baudrate=self._rate, polarity=0, phase=0)
        self._cs(1)
""",
        """        self._cs(1)
""",
        "a_shared_bus",
    ),
    kinds(
        "the card is not clocked after it was released",
        """        self._at = 10
        self._byte()
        if self._held""",
        """        self._at = 10
        if self._held""",
        "a_shared_bus",
    ),
    guard(
        "only the first partition is looked at",
        "for i in range(4):",
        "for i in range(1):",
        "any_entry_counts",
    ),
    guard(
        "what cannot be read is free",
        "if not (start <= at < card.end and _leased(card, at + 1)):",
        "if False:",
        "read_errors",
    ),
    guard(
        "the second superblock of littlefs is not looked at",
        "for at in (0, 1, 2, 4, 8):",
        "for at in (0, 2):",
        "file_systems_on_the_whole_card",
    ),
    port(
        "+1 is taken for success",
        "if r is not None and r is not True and (r is False or r != 0):\n            self._failed",
        "if r is not None and r is not True and (r is False or r < 0):\n            self._failed",
        "failures_in_use_are_errors",
    ),
    port(
        "nothing has to be proved",
        "        if not self.trusted:\n",
        "        if False:\n",
        "nothing_is_written_before_the_probe",
    ),
    port(
        "the probe does not read back",
        "            if back != _pattern(size, off):\n",
        "            if False:\n",
        "chips_that_say_yes_and_do_not",
    ),
    port(
        "the probe does not look at the erase",
        "        if not self._blank(n):\n            self._lies",
        "        if False:\n            self._lies",
        "chips_that_say_yes_and_do_not",
        "pyb_flash_that_cannot_erase_is_refused",
    ),
    port(
        "programs that are not whole pages are passed on",
        "if off % self._page or len(buf) % self._page:",
        "if False:",
        "programs_that_the_device_would_spoil",
    ),
)


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda m: m.name)
def test_mutant_is_caught(mutant: Mutant, tmp_path) -> None:
    firmware = mutant.build(tmp_path)
    for words in mutant.caught_by:
        run_script([sys.executable], *words, timeout=60)  # the module as it is passes
        done = start_script([sys.executable], *words, timeout=60, firmware=firmware)
        # A mutant that does not even import proves nothing.
        assert "edgeckpt is at work" in done.stdout, done.stdout + done.stderr
        if done.returncode:
            return
    raise AssertionError(f"not caught: {mutant.name}")
