"""A sentence for each reason of an error. Loaded when the first error is made; a board without
this module tells the reason's name.
"""

SENTENCES = {
    # CheckpointFailed
    "state": "the state does not encode: {got}",
    "too-large": "the state takes {got} bytes, a slot holds {want}",
    "erase": "erase unit {where}: {got}; expected the erase to be done",
    "program": "layout block {where}: program: {got}; expected it to be done",
    "sync": "sync of the device: {got}; expected None, 0 or True",
    "data-verify": "slot {where}: data reads back with CRC-32 {got}, written with {want}",
    "header-verify": "slot {where}: the header does not read back as written",
    "foreign": "the lease holds other checkpoints ({got}; this stage: {want}); wipe() the lease "
    "to give them up",
    "exhausted": "sequence {got} is the last one; wipe() the lease to start again",
    "observer": "an observer raised {got}",
    "memory": "the heap had no room for the error itself",
    "busy": "a flush of this stage is running; {got} was called from within it",
    # RestoreFailed
    "none": "no checkpoint in the lease ({got} blocks read)",
    "header": "no valid checkpoint; {got} header is corrupt (CRC-32 mismatch)",
    "data": "slot {where}, sequence {got}: the data is corrupt (CRC-32 mismatch); an older "
    "checkpoint is only given for fallback=True",
    "version": "slot {where}: format version {got}, expected {want}",
    "geometry": "slot {where}: {got} on the medium, {want} here",
    "lease-id": "slot {where}: lease id {got} on the medium, {want} here",
    "schema": "slot {where}: schema {got} on the medium, {want} here",
    "schema-missing": "slot {where}: the schema (CRC-32 {got}) is not in the header; pass schema=",
    "decode": "slot {where}: the state does not decode: {got}",
    "trailing": "slot {where}: {got} bytes after the state, expected none",
    "plain": "a plain image without integrity data ({got} bytes of state); pass plain=True to "
    "read it",
    # both
    "read": "layout block {where}: read: {got}; expected it to be done",
    # LeaseError
    "ended": "this {got} has ended: its lease was given away",
    "bounds": "{where}: {got} is out of bounds, expected {want}",
    "overlap": "device blocks {got} overlap the live lease {want}",
    "device": "{where}: the device answered {got}, expected {want}",
    # SchemaError, EncodeError, DecodeError
    "schema-text": "schema text, {where}: found {got}, expected {want}",
    "value": "{where}: got {got}, expected {want}",
    "bytes": "byte {offset}, {where}: {got}",
    # any
    "argument": "{where}: got {got}, expected {want}",
}
