"""States from one version of a schema to another: the rules, and what is refused."""

from array import array

from edgeckpt import BlockLease, CheckpointedStageState, CheckpointFailed, RestoreFailed
from law import Fields
from ram import Device

Stage = CheckpointedStageState


def saved(state, schema, device=None):
    """A device that holds a checkpoint of `state`."""
    device = device or Device()
    stage = Stage(state, BlockLease(device, 0, 8, 1), schema, capacity=512)
    stage.checkpoint()
    stage.into_block_lease().release()
    return device


def resumed(device, state, schema, **options):
    """The state after a resume; the device is as it was, and the old firmware goes on."""
    before = bytes(device.data)
    lease = BlockLease(device, 0, 8, 1)
    try:
        stage = Stage.resume(state, lease, schema, **options)
    except RestoreFailed:
        lease.release()
        assert before == device.data
        raise
    assert before == device.data
    stage.into_block_lease().release()
    return stage.state


def refused(old, old_state, new, new_state, *words, **options):
    device = saved(old_state, old)
    try:
        resumed(device, new_state, new, **options)
    except RestoreFailed as e:
        assert e.reason == "schema" and e.got == old, e
        for word in words:
            assert word in str(e), (word, str(e))
        return
    raise AssertionError("%s taken for %s" % (old, new))


# A field that is new keeps what the program's state holds; one that is gone is dropped only where
# the program says so: an older one must not.
OLD = {"boots": 7}
device = saved(OLD, "{boots:u32}")
state = {"boots": 0, "total": 5}
assert resumed(device, state, "{boots:u32,total:u64}") is state
assert state == {"boots": 7, "total": 5}
state = Fields({"total": 6, "boots": 0})
assert resumed(device, state, "{boots:u32,total:u64}") is state
assert (state.boots, state.total) == (7, 6)
device = saved(state, "{boots:u32,total:u64}")
assert resumed(device, {"boots": 0}, "{boots:u32}", migrate=True) == OLD
refused("{boots:u32,total:u64}", state, "{boots:u32}", {"boots": 0}, "total: got a field", "True")

# The old firmware goes on from the old checkpoint, until the new one has made its own.
device = saved(OLD, "{boots:u32}")
lease = BlockLease(device, 0, 8, 1)
stage = Stage.resume({"boots": 0, "on": False}, lease, "{boots:u32,on:bool}")
assert stage.sequence == 1
lease = stage.into_block_lease()
stage = Stage.resume({"boots": 0}, lease, "{boots:u32}")
assert stage.state == OLD
stage.into_block_lease().release()
lease = BlockLease(device, 0, 8, 1)
stage = Stage.resume({"boots": 0, "on": True}, lease, "{boots:u32,on:bool}")
stage.checkpoint()
stage.into_block_lease().release()
try:
    resumed(device, {"boots": 0}, "{boots:u32}")
except RestoreFailed as e:
    assert e.reason == "schema" and e.got == "{boots:u32,on:bool}", e
    assert e.want.startswith("{boots:u32} (on: got a field that is gone"), e
else:
    raise AssertionError("the old firmware takes the new state")
assert resumed(device, {"boots": 0, "on": False}, "{boots:u32,on:bool}") == {
    "boots": 7,
    "on": True,
}

# Wider numbers, and all within structs, tuples, options, lists, arrays, Maps and enums.
for old, value, new, wanted in (
    ("u8", 200, "u16", 200),
    ("u32", 1 << 31, "i64", 1 << 31),
    ("i16", -5, "i128", -5),
    ("u16le", 5, "u32", 5),
    ("f32", 0.5, "f64", 0.5),
    ("Option<u8>", 3, "Option<u16>", 3),
    ("Option<u8>", None, "Option<u16>", None),
    ("Option<Option<u8>>", (None,), "Option<Option<u16>>", (None,)),
    ("(u8,{a:i8})", (1, {"a": -1}), "(u16,{a:i16})", (1, {"a": -1})),
    ("Vec<{a:u8,b:str}>", [{"a": 1, "b": "x"}], "Vec<{a:u32}>", [{"a": 1}]),
    ("[u8;2]", b"\x01\x02", "[u16;2]", [1, 2]),
    ("Map<str,u8>", {"a": 1}, "Map<str,u16>", {"a": 1}),
    ("enum{A,B(u8)}", ("B", 1), "enum{C,B(u16),A}", ("B", 1)),
    ("enum{A,B{x:u8}}", ("B", {"x": 1}), "enum{A,B{x:u16}}", ("B", {"x": 1})),
    ("enum{A,B(u8)}", "A", "enum{C,A}", "A"),
):
    device = saved({"v": value}, "{v:%s}" % old)
    for mine in ({"v": None}, Fields({"v": None})):
        got = resumed(device, mine, "{v:%s}" % new, migrate=True)
        got = got["v"] if isinstance(got, dict) else got.v
        assert (dict(got) if isinstance(got, dict) else got) == wanted, (old, new, got)
mine = {"v": array("I", [0, 0])}
column = mine["v"]
got = resumed(saved({"v": [1, 2]}, "{v:Vec<u16>}"), mine, "{v:Vec<u32>}")["v"]
assert got is column and list(got) == [1, 2]
inner = {"a": {"x": 0, "y": 9}}
assert resumed(saved({"a": {"x": 1}}, "{a:{x:u8}}"), inner, "{a:{x:u8,y:u8}}") == {
    "a": {"x": 1, "y": 9}
}

# What no rule covers is refused by its path, with both texts.
for old, value, new in (
    ("u16", 1, "u8"),
    ("i8", 1, "u16"),
    ("u8", 1, "str"),
    ("f64", 1.0, "f32"),
    ("[u8;2]", b"ab", "[u8;3]"),
    ("(u8,u8)", (1, 2), "(u8,u8,u8)"),
    ("u8", 1, "Option<u8>"),
    ("enum{A,B}", "B", "enum{A}"),
    ("enum{A,B(u8)}", ("B", 1), "enum{A,B}"),
):
    refused(
        "{a:u8,v:%s}" % old, {"a": 1, "v": value}, "{a:u8,v:%s}" % new, {"a": 1, "v": 0}, "v: "
    )
refused(
    "{r:Vec<{a:u8}>}", {"r": [{"a": 1}]}, "{r:Vec<{a:u8,b:u8}>}", {"r": []}, "r[].b", "default"
)
refused("{a:u8}", {"a": 1}, "{a:u8,b:u8}", {"a": 0}, "b: got a new field")


# A function of the program gets the value and its schema, and gives the fields that it knows.
def renamed(old, text):
    assert old == {"boots": 7} and text == "{boots:u32}"
    return {"starts": old["boots"]}


state = {"starts": 0, "name": "new"}
NEW = "{starts:u64,name:str}"
device = saved(OLD, "{boots:u32}")
assert resumed(device, state, NEW, migrate=renamed) == {"starts": 7, "name": "new"}
for wrong, word in (
    (None, "None"),
    ({"boots": 7}, "boots"),
    ({"starts": -1}, "starts"),
    (5, "the state"),
):
    refused("{boots:u32}", OLD, NEW, dict(state), word, migrate=lambda old, text, w=wrong: w)
refused("{boots:u32}", OLD, NEW, dict(state), "{boots:u32}", migrate=False)

# Into a larger slot, by a second lease: the old one is left as it is.
device = Device(16)
first = BlockLease(device, 0, 8, 1)
stage = Stage({"log": [1, 2]}, first, "{log:Vec<u8>}", capacity=256)
stage.checkpoint()
stage.into_block_lease().release()
for turn in range(3):
    before = bytes(device.data)
    first, second = BlockLease(device, 0, 8, 1), BlockLease(device, 8, 8, 1)
    state = {"log": [], "n": 0}
    stage = Stage.resume(
        state, second, "{log:Vec<u16>,n:u8}", capacity=2000, moved_from=first if turn < 2 else None
    )
    assert stage.state is state and before == device.data
    assert state == {"log": [1, 2], "n": 0} if turn < 2 else {"log": [300] * 500, "n": 1}
    if turn == 1:
        state["log"] = [300] * 500
        state["n"] = 1
        stage.checkpoint()
    stage.into_block_lease().release()
    if turn == 2:
        first.release()
stage = Stage.resume({"log": []}, BlockLease(device, 0, 8, 1), "{log:Vec<u8>}")
assert stage.state == {"log": [1, 2]}
stage.state = {"log": [1] * 300}
try:
    stage.checkpoint()
except CheckpointFailed as e:
    assert e.reason == "too-large"
print("ok")
