"""Boards in a labgrid lab: a resource and a driver for them, and the way to a place by its name.

`labgrid://NAME` is a port wherever the host tools take one: the serial port of the place NAME,
which you have acquired (`labgrid-client -p NAME acquire`). The coordinator is $LG_COORDINATOR, the
rest labgrid's own: exporters, SSH proxies, power drivers. docs/lab.md is the manual.

Promises: every wait is bounded; a place that is missing, not yours, or without a serial port is a
`HostError` `port` that says what to do; the coordinator is spoken to in one thread, whatever
number of boards work at once.
"""

from __future__ import annotations

import asyncio
import atexit
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as TooLate
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import attr
from labgrid import Target, target_factory
from labgrid.driver import Driver
from labgrid.protocol import PowerProtocol
from labgrid.remote import client
from labgrid.resource import Resource
from labgrid.resource.remote import RemotePlace, RemotePlaceManager
from labgrid.util.proxy import proxymanager

from .errors import HostError
from .rig import Rig, Unsupported

if TYPE_CHECKING:
    from .board import Board

T = TypeVar("T")
_WAIT = 30.0  # seconds for the coordinator, and for a power switch
# Which of labgrid's drivers switches what an exporter offers, as `labgrid-client power` has it.
_POWER = {
    "NetworkPowerPort": "NetworkPowerDriver",
    "NetworkUSBPowerPort": "USBPowerDriver",
    "NetworkSiSPMPowerPort": "SiSPMPowerDriver",
    "PDUDaemonPort": "PDUDaemonDriver",
    "TasmotaPowerPort": "TasmotaPowerDriver",
    "NetworkYKUSHPowerPort": "YKUSHPowerDriver",
}
_worker: ThreadPoolExecutor | None = None
_session: Any = None


@target_factory.reg_resource
@attr.s(eq=False)
class EdgeckptBoard(Resource):
    """Which board a place holds: `board`, a name below boards/ or a folder with a board.toml, and
    `lease`, the name of one of its leases. Exported beside the board's serial port."""

    board: Any = attr.ib(validator=attr.validators.instance_of(str))
    lease: Any = attr.ib(default="", validator=attr.validators.instance_of(str))


@target_factory.reg_driver
@attr.s(eq=False)
class EdgeckptDriver(Driver):
    """A board over the serial port of a target: `open()` for the host tools, `rig()` for tests.

    Its power is switched by the target's power driver, if there is one.
    """

    bindings = {
        "port": {"SerialPort", "NetworkSerialPort"},
        "described": {EdgeckptBoard, None},
        "power": {PowerProtocol, None},
    }
    board: Any = attr.ib(default="", validator=attr.validators.instance_of(str))
    lease: Any = attr.ib(default="", validator=attr.validators.instance_of(str))

    @property
    def url(self) -> str:
        """The port, as the host tools take it."""
        return _url(self.port)

    @Driver.check_active  # type: ignore[untyped-decorator]
    def open(self, **options: Any) -> Board:
        """The board with its agent answering; options as of `Board.open`."""
        from .board import Board

        return Board.open(self.url, **options)

    @Driver.check_active  # type: ignore[untyped-decorator]
    def rig(self, *, trace: Path | None = None, may_write: bool = False) -> PlaceRig:
        """The board for tests (docs/testing.md). ValueError where nobody says which it is."""
        from edgeckpt_boards.tools.board import load

        told = self.described
        name = self.board or (told.board if told else "")
        if not name:
            raise ValueError(
                f"{self.target.name}: which board? expected `board` of EdgeckptDriver, or a "
                "resource EdgeckptBoard"
            )
        lease = self.lease or (told.lease if told else "") or None
        rig = PlaceRig(self.url, load(name), lease, trace=trace, may_write=may_write)
        rig.power = self.power
        return rig


class PlaceRig(Rig):
    """A board of a lab; its power is switched by labgrid's driver `power`, or not at all."""

    kind = "place"
    power: Any = None
    _on = True

    def _switch(self, what: str) -> None:
        if self.power is None:
            raise Unsupported(f"{self}: the place has no power port that labgrid switches")
        _in_worker(getattr(self.power, what))

    def _can_switch(self) -> None:
        if self.power is None:
            self._switch("off")

    def power_off(self) -> None:
        self._switch("off")
        self._on = False

    def power_on(self) -> None:
        self._switch("on")
        self._on = True

    def power_cycle(self) -> None:
        if self.power is None:
            super().power_cycle()
        else:
            self._switch("cycle")
            self._on = True

    def _is_off(self) -> bool:
        return not self._on


def place_url(place: str) -> str:
    """The serial port of an acquired place as a URL. HostError `port`."""
    return _in_worker(lambda: _url(_serial_port(_target(place))))


def place_rig(
    place: str, board: str = "", lease: str = "", *, may_write: bool = False
) -> PlaceRig:
    """The board of an acquired place, its power with it. HostError `port`."""

    def make() -> PlaceRig:
        target = _target(place)
        _serial_port(target)
        for resource in list(target.resources):
            driver = _POWER.get(type(resource).__name__)
            if driver:
                power = target_factory.class_from_string(driver)(target, name=None)
                target.activate(power)
                break
        made: Any = EdgeckptDriver
        driver = made(target, name=None, board=board, lease=lease)
        target.activate(driver)
        try:
            rig: PlaceRig = driver.rig(may_write=may_write)
        except ValueError as e:
            raise HostError("usage", f"place {place}: {e}") from e
        return rig

    return _in_worker(make)


def _url(port: Any) -> str:
    if not hasattr(port, "host"):
        return str(port.port)
    host, number = proxymanager.get_host_and_port(port)
    if port.protocol == "raw":
        return f"socket://{host}:{number}"
    # As labgrid's SerialDriver: not every adapter behind a server answers for its control lines.
    return f"rfc2217://{host}:{number}?ign_set_control&timeout=3"


def _serial_port(target: Any) -> Any:
    for resource in target.resources:
        if type(resource).__name__ in ("NetworkSerialPort", "RawSerialPort"):
            return target.get_resource(type(resource).__name__, name=resource.name)
    raise HostError(
        "port",
        f"place {target.name}: it has no serial port",
        "labgrid-client show tells what it has",
    )


def _target(place: str) -> Any:
    """The place's resources, as they are now."""
    session = _connected()
    try:
        found = session.get_acquired_place(place)
        manager = RemotePlaceManager.get()
        manager.session, manager.loop, manager.env = session, session.loop, None
        target = Target(found.name)
        RemotePlace(target, name=found.name)
    except client.Error as e:
        raise HostError(
            "port",
            f"place {place}: {e}",
            f"labgrid-client -p {place} acquire; labgrid-client places",
        ) from e
    return target


def _connected() -> Any:
    global _session
    address = os.environ.get("LG_COORDINATOR", "127.0.0.1:20408")
    try:
        if _session is None:
            _session = client.start_session(address)
            atexit.register(_close)
        elif not _session.loop.run_until_complete(_session.sync_with_coordinator()):
            raise client.ServerError("it has closed the connection")
    except (client.Error, OSError) as e:
        _session = None
        raise HostError(
            "port",
            f"no labgrid coordinator at {address}: {e}",
            "$LG_COORDINATOR is HOST:PORT of the one that runs (labgrid-coordinator)",
        ) from e
    return _session


def _close() -> None:
    async def end() -> None:
        await _session.stop()
        await _session.close()

    if _session is not None:
        loop = _session.loop
        loop.run_until_complete(asyncio.wait_for(end(), 5))
        loop.close()


def _in_worker(work: Callable[[], T]) -> T:
    """What `work()` gives, done in the one thread that talks to labgrid. HostError `port`."""
    global _worker
    if _worker is None:
        _worker = ThreadPoolExecutor(1, "labgrid")
    try:
        return _worker.submit(work).result(_WAIT)
    except TooLate:
        raise HostError("port", f"labgrid does not answer within {_WAIT:.0f} s") from None
