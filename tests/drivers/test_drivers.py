"""The drivers over SPI-level chip models, by scripts that run on CPython and MicroPython alike."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]

# 9,000 cuts in all, in parts that run side by side; ten times as many with EDGECKPT_FULL=1.
PARTS = 3
TIMES = 10 if os.environ.get("EDGECKPT_FULL") == "1" else 1


def start_script(
    command: list[str],
    name: str,
    *arguments: str,
    timeout: int = 300,
    also: Path = HERE,
    firmware: Path = ROOT / "firmware",
) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join(str(p) for p in (firmware, ROOT, HERE / "device", also))
    env = dict(os.environ, PYTHONPATH=path, MICROPYPATH=path)
    return subprocess.run(
        [*command, str(HERE / "device" / name), *arguments],
        env=env,
        capture_output=True,
        text=True,
        timeout=timeout,
    )


def run_script(
    command: list[str], name: str, *arguments: str, timeout: int = 300, also: Path = HERE
) -> str:
    result = start_script(command, name, *arguments, timeout=timeout, also=also)
    output = result.stdout + result.stderr
    assert result.returncode == 0 and "ok" in result.stdout, output
    return result.stdout


def interpreter(request: pytest.FixtureRequest, name: str) -> list[str]:
    return [sys.executable] if name == "cpython" else request.getfixturevalue(name)


@pytest.mark.parametrize("on", ["cpython", "mpy64", "mpy32"])
@pytest.mark.parametrize(
    "script", ["checksums.py", "nor_basic.py", "nor_chips.py", "sd_basic.py", "port_adapters.py"]
)
def test_driver(request: pytest.FixtureRequest, script: str, on: str) -> None:
    run_script(interpreter(request, on), script)


@pytest.mark.parametrize("on", ["mpy64", "mpy32"])
def test_cards_of_two_models(request: pytest.FixtureRequest, on: str) -> None:
    print(run_script(interpreter(request, on), "sd_kinds.py", *(["full"] if TIMES > 1 else [])))


@pytest.mark.parametrize("on", ["cpython", "mpy32"])
@pytest.mark.parametrize("script", ["guards.py", "fram.py", "trials.py"])
def test_guard_fram_and_selftest(request: pytest.FixtureRequest, script: str, on: str) -> None:
    run_script(interpreter(request, on), script)


def test_faults_of_the_interface(mpy64: list[str]) -> None:
    print(run_script(mpy64, "spi_faults.py"))


@pytest.mark.parametrize("on", ["cpython", "mpy64", "mpy32"])
@pytest.mark.parametrize(
    "script",
    ["leases.py", "observers.py", "raising.py", "restoring.py", "layout.py", "long_rings.py"],
)
def test_core_suite_over_the_drivers(request: pytest.FixtureRequest, script: str, on: str) -> None:
    core = ROOT / "tests" / "core" / "device"
    run_script(interpreter(request, on), "over_spi/launch.py", str(core / script), also=core)


@pytest.mark.parametrize("on", ["mpy64", "mpy32"])
def test_drivers_allocate_nothing(request: pytest.FixtureRequest, on: str) -> None:
    print(run_script(interpreter(request, on), "alloc_spi.py"))


CUTS = {"nor": 1_800 * TIMES, "sd": 1_200 * TIMES}
PORTS = ["rp2", "esp32", "mimxrt", "pyb", "samd21", "samd51", "esp32sd", "mimxrtsd"]


@pytest.mark.parametrize("port", PORTS)
def test_power_cuts_through_adapters(mpy64: list[str], port: str) -> None:
    cuts = (400 if port != "samd51" else 200) * TIMES
    seed = str(100 * (1 + PORTS.index(port)))
    output = run_script(mpy64, "sweep.py", port, seed, str(cuts), timeout=1800)
    assert f"{cuts} cuts" in output
    print(output)


def test_power_cuts_in_large_erases(mpy64: list[str]) -> None:
    cuts = 200 * TIMES
    output = run_script(mpy64, "sweep.py", "nor32k", "1", str(cuts), timeout=1800)
    assert f"{cuts} cuts" in output
    print(output)


@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("medium", ["nor", "sd"])
def test_power_cuts(mpy64: list[str], medium: str, part: int) -> None:
    seed = str(1000 * (part + 1))
    output = run_script(mpy64, "sweep.py", medium, seed, str(CUTS[medium]), timeout=1800)
    assert f"{CUTS[medium]} cuts" in output
    print(output)
