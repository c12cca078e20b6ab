"""MLMD's messages as classes, made from the tables in store_messages.py and service_messages.py.

They live in a descriptor pool of their own, so that the real `ml_metadata` package can be imported into
the same process: protobuf's default pool would refuse a second definition of the same names.

The notation: a line without indent starts a message or an enum, an indented line goes on with it.

    Event.Path: steps 1 Event.Path.Step*          message: name number type, separated by commas
    enum Event.Type: UNKNOWN DECLARED_OUTPUT      enum: values, numbered from 0

After a field's type may come `|name` (member of this oneof), `=value` (default), `packed` and
`deprecated`; `*` means repeated, `map KEY VALUE` a map. A value `NAME=text` of an enum has the option
`system_type_extension` with `type_name: text`.
"""

from __future__ import annotations

from typing import Any

from google.protobuf import (
    any_pb2,
    descriptor_pb2,
    descriptor_pool,
    field_mask_pb2,
    message_factory,
    struct_pb2,
)
from google.protobuf.internal.enum_type_wrapper import EnumTypeWrapper

from tidemill.mlmd import service_messages, store_messages

PACKAGE = "ml_metadata"
_EXTENSION = 384560917
"""Number of `system_type_extension`, which extends google.protobuf.EnumValueOptions."""

_Field = descriptor_pb2.FieldDescriptorProto
_FOREIGN = {name: f".google.protobuf.{name}" for name in ("Any", "Struct", "FieldMask")}


def message_class(name: str) -> Any:
    """The class of a message, by its name without the package: `Event.Path`. KeyError when unknown."""
    return message_factory.GetMessageClass(POOL.FindMessageTypeByName(f"{PACKAGE}.{name}"))


def module_names(file: str) -> dict[str, Any]:
    """What protoc's module for `file` would hold: classes, enums and the values of top-level enums."""
    descriptor = POOL.FindFileByName(file)
    found: dict[str, Any] = {"DESCRIPTOR": descriptor}
    for name in descriptor.message_types_by_name:
        found[name] = message_class(name)
    for name, enum in descriptor.enum_types_by_name.items():
        found[name] = EnumTypeWrapper(enum)
        found |= {value.name: value.number for value in enum.values}
    return found | dict(descriptor.extensions_by_name)


def _file(path: str, table: str, *imports: Any) -> descriptor_pb2.FileDescriptorProto:
    """A table as the description of one .proto file."""
    file = descriptor_pb2.FileDescriptorProto(name=path, package=PACKAGE)
    file.dependency.extend(module.name for module in imports)
    lines = table.strip().replace("\n  ", " ").split("\n")
    enums = {line.split(":")[0].removeprefix("enum ") for line in lines if line.startswith("enum ")}
    places: dict[str, Any] = {}
    for line in sorted(lines, key=lambda text: text.startswith("enum ")):  # an enum's message comes first
        name, _, body = line.removeprefix("enum ").partition(":")
        outer, _, inner = name.rpartition(".")
        if line.startswith("enum "):
            _add_enum((places[outer] if outer else file).enum_type.add(name=inner), body)
        else:
            place = places[outer].nested_type if outer else file.message_type
            places[name] = place.add(name=inner)
            for field in filter(None, body.strip().split(", ")):
                _add_field(places[name], name, field, enums)
    return file


def _add_enum(enum: descriptor_pb2.EnumDescriptorProto, body: str) -> None:
    for number, word in enumerate(body.split()):
        name, _, type_name = word.partition("=")
        value = enum.value.add(name=name, number=number)
        if type_name:
            text = type_name.encode()
            inner = bytes([1 << 3 | 2, len(text)]) + text  # SystemTypeExtension.type_name
            value.options.MergeFromString(_varint(_EXTENSION << 3 | 2) + bytes([len(inner)]) + inner)


def _add_field(message: descriptor_pb2.DescriptorProto, full: str, text: str, enums: set[str]) -> None:
    name, number, kind, *rest = text.split()
    field = message.field.add(name=name, number=int(number), label=_Field.LABEL_OPTIONAL)
    if kind == "map":
        kind, rest = _add_map_entry(message, full, name, rest[:2], enums) + "*", rest[2:]
    if kind.endswith("*"):
        field.label = _Field.LABEL_REPEATED
    _set_type(field, kind.removesuffix("*"), enums)
    for word in rest:
        if word.startswith("|"):
            oneofs = [oneof.name for oneof in message.oneof_decl]
            if word[1:] not in oneofs:
                message.oneof_decl.add(name=word[1:])
                oneofs.append(word[1:])
            field.oneof_index = oneofs.index(word[1:])
        elif word.startswith("="):
            field.default_value = word[1:]
        else:
            setattr(field.options, word, True)


def _add_map_entry(
    message: descriptor_pb2.DescriptorProto, full: str, field: str, kinds: list[str], enums: set[str]
) -> str:
    """A map is a repeated message of a key and a value; its name is given by the field's."""
    entry = message.nested_type.add(name="".join(map(str.capitalize, field.split("_"))) + "Entry")
    entry.options.map_entry = True
    for number, (name, kind) in enumerate(zip(("key", "value"), kinds, strict=True), 1):
        _set_type(entry.field.add(name=name, number=number, label=_Field.LABEL_OPTIONAL), kind, enums)
    return f"{full}.{entry.name}"


def _set_type(field: descriptor_pb2.FieldDescriptorProto, kind: str, enums: set[str]) -> None:
    if kind[0].islower():
        field.type = _Field.Type.Value(f"TYPE_{kind.upper()}")
        return
    field.type = _Field.TYPE_ENUM if kind in enums else _Field.TYPE_MESSAGE
    field.type_name = _FOREIGN.get(kind, f".{PACKAGE}.{kind}")


def _varint(number: int) -> bytes:
    """Protobuf's encoding of a non-negative integer: seven bits a byte, the lowest first."""
    found = bytearray()
    while number > 127:
        found.append(number & 127 | 128)
        number >>= 7
    return bytes([*found, number])


def _build() -> descriptor_pool.DescriptorPool:
    pool = descriptor_pool.DescriptorPool()
    standard = [m.DESCRIPTOR for m in (descriptor_pb2, any_pb2, struct_pb2, field_mask_pb2)]
    for descriptor in standard:
        pool.AddSerializedFile(descriptor.serialized_pb)
    options, any_file, struct, mask = standard
    store = _file(store_messages.FILE, store_messages.TABLE, any_file, struct, options)
    store.extension.add(
        name="system_type_extension", number=_EXTENSION, label=_Field.LABEL_OPTIONAL,
        type=_Field.TYPE_MESSAGE, type_name=f".{PACKAGE}.SystemTypeExtension",
        extendee=".google.protobuf.EnumValueOptions",
    )  # fmt: skip
    tags = next(m for m in store.message_type if m.name == "TransactionOptions")
    tags.extension_range.add(start=1000, end=1 << 29)
    service = _file(service_messages.FILE, service_messages.TABLE, mask, store)
    calls = service.service.add(name="MetadataStoreService")
    for name in service_messages.METHODS.split():
        calls.method.add(
            name=name, input_type=f".{PACKAGE}.{name}Request", output_type=f".{PACKAGE}.{name}Response"
        )
    pool.AddSerializedFile(store.SerializeToString())
    pool.AddSerializedFile(service.SerializeToString())
    return pool


POOL = _build()
