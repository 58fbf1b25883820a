"""Reading a pickle without Python's or PyTorch's unpickler: its instructions build descriptions, and nothing is run.

A pickle is a program for a small stack machine. Of its some seventy instructions the forty that protocols 2 to 5 need
for data are known here. A name becomes what the list in :mod:`baimu.weights.allowed` has for it, which is our own; no
module is imported, no attribute looked up, no method of a foreign class called. Steps, copies and lengths are limited
by the size of the file.
"""

from __future__ import annotations

import pickle as op  # the names of the instructions; its functions are not used
import pickletools
import struct
from collections.abc import Callable
from types import NoneType
from typing import Any, BinaryIO

from baimu.weights.allowed import known
from baimu.weights.inert import Array, Dtype, Inert, Known
from baimu.weights.refusal import Refused

_MOST_STEPS = 2_000_000  # a model of a thousand tensors takes some thirty thousand
_MOST_MARKS = 1000
_LONGEST_NAME = 256
_KEYS = (str, bytes, int, float, bool, NoneType, Known)  # no tuples: whoever chooses their numbers can make all collide


def interpret(file: BinaryIO, end: int, persistent: Callable[[Any], Any] | None = None) -> Any:
    """The object that the pickle at the place of ``file`` describes, made of plain values and descriptions.

    ``end``: the offset behind the last byte that it may use. ``persistent`` gives what a persistent id stands for.
    Afterwards ``file`` stands behind the pickle. Raises :class:`Refused`.
    """
    machine = Machine(file, end, persistent)
    try:
        return machine.run()
    except (IndexError, KeyError, UnicodeDecodeError):  # an empty stack, an unknown place of the memo, no text
        raise Refused(f"damaged (no pickle from byte {machine.end - machine.left} on); download it again") from None


class Machine:
    """The stack machine. Sets are lists here, all mappings dictionaries, and every object one of ours."""

    def __init__(self, file: BinaryIO, end: int, persistent: Callable[[Any], Any] | None) -> None:
        self.file, self.end, self.persistent = file, end, persistent
        self.left = end - file.tell()
        self.budget = 2 * self.left + 1024
        self.stack: list[Any] = []
        self.marks: list[list[Any]] = []
        self.memo: dict[int, Any] = {}

    def run(self) -> Any:
        for _ in range(_MOST_STEPS):
            code = self.take(1)
            if code == op.STOP:
                if len(self.stack) != 1 or self.marks:
                    raise Refused("damaged (its pickle ends amid an object); download it again")
                return self.stack.pop()
            action = ACTIONS.get(code)
            if action is None:
                raise Refused(f"uses the pickle instruction {_name(code)}, which no file of parameters needs; {_MEND}")
            action(self)
        raise Refused(f"takes more than {_MOST_STEPS} steps to read; {_MEND}")

    def take(self, count: int) -> bytes:
        """The next ``count`` bytes, asked for only if they are there."""
        data = self.file.read(count) if 0 <= count <= self.left else b""
        if len(data) != count:
            raise Refused("damaged (cut short, or a length in it is wrong); download or copy it again")
        self.left -= count
        return data

    def line(self) -> str:
        data = self.file.readline(min(self.left, _LONGEST_NAME))
        self.left -= len(data)
        if not data.endswith(b"\n"):
            raise Refused("damaged (a name in it does not end); download it again")
        return data[:-1].decode("utf-8")

    def number(self, form: str) -> Any:
        return struct.unpack(form, self.take(struct.calcsize(form)))[0]

    def spend(self, amount: int) -> None:
        """Keep copies of what the file holds once from adding up to more than the file."""
        self.budget -= amount
        if self.budget < 0:
            raise Refused(f"describes far more than it holds; {_MEND}")

    def mark(self) -> None:
        if len(self.marks) == _MOST_MARKS:
            raise Refused(f"nests more than {_MOST_MARKS} levels deep; {_MEND}")
        self.marks.append(self.stack)
        self.stack = []

    def since_mark(self) -> list[Any]:
        items = self.stack
        self.stack = self.marks.pop()
        return items

    def pack(self, count: int) -> None:
        items = tuple(self.stack.pop() for _ in range(count))
        self.stack.append(items[::-1])

    def extend(self, items: list[Any]) -> None:
        target = self.stack[-1]
        if type(target) is not list:
            raise Refused(f"damaged (an item is added to what is no list); {_MEND}")
        target.extend(items)

    def set_items(self, items: list[Any]) -> None:
        target = self.stack[-1]
        if type(target) is Inert:
            target = target.items
        if type(target) is not dict or len(items) % 2:
            raise Refused(f"damaged (an entry is added to what is no dictionary); {_MEND}")
        for key, value in zip(items[::2], items[1::2], strict=True):
            if type(key) not in _KEYS or (type(key) is int and abs(key) >= 1 << 63):
                raise Refused(f"has a dictionary whose keys are neither text nor numbers; {_MEND}")
            target[key] = value

    def name(self, module: Any, name: Any) -> None:
        if type(module) is not str or type(name) is not str:
            raise Refused(f"damaged (a name in it is no text); {_MEND}")
        self.stack.append(known(f"{module}.{name}"))

    def call(self) -> None:
        """Put what we have for calling a known name with arguments; REDUCE and NEWOBJ come to the same."""
        arguments, target = self.stack.pop(), self.stack.pop()
        if type(target) is not Known or type(arguments) is not tuple:
            raise Refused(f"calls what cannot be called; {_MEND}")
        if target.make is None:
            raise Refused(f"makes a {target.name} where it may only be mentioned; {_MEND}")
        self.stack.append(target.make(arguments, self.spend))

    def build(self) -> None:
        state, target = self.stack.pop(), self.stack[-1]
        if type(target) in (Inert, Array, Dtype):
            target.receive(state, self.spend)
        elif type(target) is not dict:  # attributes of a dictionary (torch's version marks) are left out
            raise Refused(f"sets the state of what has none; {_MEND}")

    def storage(self) -> None:
        if self.persistent is None:
            raise Refused(f"refers to something outside of it (a persistent id); {_MEND}")
        self.stack.append(self.persistent(self.stack.pop()))

    def frame(self) -> None:
        if self.number("<Q") > self.left:
            raise Refused("damaged (cut short, or a length in it is wrong); download or copy it again")

    def protocol(self) -> None:
        if self.number("<B") > op.HIGHEST_PROTOCOL:
            raise Refused("is a pickle of a protocol that is not known; save it again with protocol 2")


_MEND = "save it again as a state dict: torch.save(model.state_dict(), path)"

_CONSTANTS = {op.NONE: None, op.NEWTRUE: True, op.NEWFALSE: False, op.EMPTY_TUPLE: ()}
_EMPTY = {op.EMPTY_DICT: dict, op.EMPTY_LIST: list, op.EMPTY_SET: list}
_NUMBERS = {op.BININT: "<i", op.BININT1: "<B", op.BININT2: "<H", op.BINFLOAT: ">d"}
_TEXT = {op.SHORT_BINUNICODE: "<B", op.BINUNICODE: "<I", op.BINUNICODE8: "<Q"}
_PYTHON_2_TEXT = {op.SHORT_BINSTRING: "<B", op.BINSTRING: "<i"}  # latin-1 gives the bytes of its arrays back
_BYTES = {op.SHORT_BINBYTES: "<B", op.BINBYTES: "<I", op.BINBYTES8: "<Q", op.BYTEARRAY8: "<Q"}
_GET = {op.BINGET: "<B", op.LONG_BINGET: "<I"}
_PUT = {op.BINPUT: "<B", op.LONG_BINPUT: "<I"}

Action = Callable[[Machine], None]


def _actions() -> dict[bytes, Action]:
    """What each instruction does; one that is missing here is refused."""

    def push(read: Callable[[Machine], Any]) -> Action:
        def action(m: Machine) -> None:
            value = read(m)  # first, for it may change which stack is meant
            m.stack.append(value)

        return action

    def put(place: Callable[[Machine], int]) -> Action:
        return lambda m: m.memo.__setitem__(place(m), m.stack[-1])

    table: dict[bytes, Action] = {}
    table |= {code: push(lambda m, value=value: value) for code, value in _CONSTANTS.items()}
    table |= {code: push(lambda m, new=new: new()) for code, new in _EMPTY.items()}
    table |= {code: push(lambda m, form=form: m.number(form)) for code, form in _NUMBERS.items()}
    for sized, decode in (
        (_TEXT, lambda data: data.decode("utf-8")),
        (_PYTHON_2_TEXT, lambda data: data.decode("latin-1")),
        (_BYTES, lambda data: data),
        ({op.LONG1: "<B"}, lambda data: int.from_bytes(data, "little", signed=True)),
    ):
        for code, form in sized.items():
            table[code] = push(lambda m, form=form, decode=decode: decode(m.take(m.number(form))))
    table |= {code: push(lambda m, form=form: m.memo[m.number(form)]) for code, form in _GET.items()}
    table |= {code: put(lambda m, form=form: m.number(form)) for code, form in _PUT.items()}
    return table | {
        op.MEMOIZE: put(lambda m: len(m.memo)),
        op.MARK: Machine.mark,
        op.TUPLE: push(lambda m: tuple(m.since_mark())),
        op.FROZENSET: push(lambda m: m.since_mark()),
        op.TUPLE1: lambda m: m.pack(1),
        op.TUPLE2: lambda m: m.pack(2),
        op.TUPLE3: lambda m: m.pack(3),
        op.APPEND: lambda m: m.extend([m.stack.pop()]),
        op.APPENDS: lambda m: m.extend(m.since_mark()),
        op.ADDITEMS: lambda m: m.extend(m.since_mark()),
        op.SETITEM: lambda m: m.set_items([m.stack.pop(), m.stack.pop()][::-1]),
        op.SETITEMS: lambda m: m.set_items(m.since_mark()),
        op.GLOBAL: lambda m: m.name(m.line(), m.line()),
        op.STACK_GLOBAL: lambda m: m.name(*[m.stack.pop(), m.stack.pop()][::-1]),
        op.REDUCE: Machine.call,
        op.NEWOBJ: Machine.call,
        op.BUILD: Machine.build,
        op.BINPERSID: Machine.storage,
        op.FRAME: Machine.frame,
        op.PROTO: Machine.protocol,
    }


ACTIONS = _actions()


def _name(code: bytes) -> str:
    return next((o.name for o in pickletools.opcodes if o.code.encode("latin-1") == code), f"0x{code.hex()}")
