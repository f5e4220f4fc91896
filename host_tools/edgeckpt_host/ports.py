"""Which serial ports may be boards."""

from __future__ import annotations

from .results import Port

_NAMES = {
    0x2E8A: "Raspberry Pi",
    0xF055: "MicroPython",
    0x303A: "Espressif",
    0x239A: "Adafruit",
    0x2341: "Arduino",
    0x10C4: "CP210x UART",
    0x1A86: "CH34x UART",
    0x0403: "FTDI UART",
    0x1366: "SEGGER J-Link",
    0x0D28: "DAPLink",
    0x0483: "ST-LINK",
}


def boards() -> list[Port]:
    """USB serial ports."""
    from serial.tools import list_ports

    found = []
    for p in sorted(list_ports.comports()):
        if p.vid is None:
            continue
        found.append(
            Port(
                p.device,
                f"{p.vid:04x}:{p.pid:04x}",
                p.serial_number,
                p.product or _NAMES.get(p.vid, p.description),
            )
        )
    return found
