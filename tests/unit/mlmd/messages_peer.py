"""Messages of MLMD made, read and described, with whichever classes are at hand.

    python messages_peer.py describe | make | read      with ml_metadata's; answers are JSON

`make` prints [name, bytes as hex, content] of random messages of every kind, `read` takes [name, bytes]
from its input and prints contents. Called by test_messages.py, which imports the functions too.
"""

import json
import random
import sys

from google.protobuf import descriptor_pb2

REPEATED = descriptor_pb2.FieldDescriptorProto.LABEL_REPEATED


def content(message):
    """What a message says, field by field, by name. Unknown fields are not in it."""
    found = {}
    for field, value in message.ListFields():
        entry = field.message_type
        if entry is not None and entry.GetOptions().map_entry:
            inner = entry.fields_by_name["value"].message_type
            found[field.name] = {str(k): content(value[k]) if inner else value[k] for k in value}
        elif hasattr(value, "DESCRIPTOR"):
            found[field.name] = content(value)
        elif isinstance(value, str | bytes | int | float):
            found[field.name] = value.hex() if isinstance(value, bytes) else value
        else:
            found[field.name] = [content(v) if hasattr(v, "DESCRIPTOR") else v for v in value]
    return found


def describe(file):
    """A file's messages, enums and calls as plain data."""
    proto = descriptor_pb2.FileDescriptorProto()
    file.CopyToProto(proto)
    found = {
        "package": proto.package,
        "syntax": proto.syntax or "proto2",
        "dependency": list(proto.dependency),
    }
    found["extensions"] = [[e.name, e.number, e.type, e.type_name, e.extendee] for e in proto.extension]
    found["calls"] = [[m.name, m.input_type, m.output_type] for s in proto.service for m in s.method]
    _describe_enums(found, "", proto.enum_type)
    pending = [("", message) for message in proto.message_type]
    while pending:
        outer, message = pending.pop()
        name = f"{outer}{message.name}"
        oneofs = [oneof.name for oneof in message.oneof_decl]
        found[name] = {
            "map entry": message.options.map_entry,
            "extensions": [[r.start, r.end] for r in message.extension_range],
            "fields": {
                f.name: [f.number, f.type, f.label, f.type_name, f.default_value, f.options.packed,
                         f.options.deprecated, oneofs[f.oneof_index] if f.HasField("oneof_index") else None]
                for f in message.field
            },
        }  # fmt: skip
        _describe_enums(found, f"{name}.", message.enum_type)
        pending += [(f"{name}.", nested) for nested in message.nested_type]
    return found


def _describe_enums(found, outer, enums):
    for enum in enums:
        values = [[v.name, v.number, v.options.SerializeToString().hex()] for v in enum.value]
        found[f"enum {outer}{enum.name}"] = values


def fill(message, numbers, depth=0):
    """Set about half of the fields of a message to something, at random."""
    for field in message.DESCRIPTOR.fields:
        if numbers.random() < 0.5 or (field.message_type is not None and depth > 3):
            continue
        entry = field.message_type
        if entry is not None and entry.GetOptions().map_entry:
            inner = entry.fields_by_name["value"]
            for _ in range(numbers.randrange(3)):
                key = _scalar(entry.fields_by_name["key"], numbers)
                if inner.message_type is not None:
                    fill(getattr(message, field.name)[key], numbers, depth + 1)
                else:
                    getattr(message, field.name)[key] = _scalar(inner, numbers)
        elif _is_repeated(field):
            for _ in range(numbers.randrange(3)):
                if entry is not None:
                    fill(getattr(message, field.name).add(), numbers, depth + 1)
                else:
                    getattr(message, field.name).append(_scalar(field, numbers))
        elif entry is not None:
            getattr(message, field.name).SetInParent()
            fill(getattr(message, field.name), numbers, depth + 1)
        else:
            setattr(message, field.name, _scalar(field, numbers))


def _is_repeated(field):
    proto = descriptor_pb2.DescriptorProto()
    field.containing_type.CopyToProto(proto)
    return next(f for f in proto.field if f.name == field.name).label == REPEATED


def _scalar(field, numbers):
    if field.enum_type is not None:
        return numbers.choice(field.enum_type.values).number
    if field.type == field.TYPE_STRING:
        return numbers.choice(["", "a", "ü'\"\n", "longer text " * 20])
    if field.type == field.TYPE_BYTES:
        return numbers.randbytes(3)
    if field.type == field.TYPE_BOOL:
        return numbers.random() < 0.5
    if field.type == field.TYPE_DOUBLE:
        return numbers.choice([0.0, -1.5, 1e300])
    return numbers.choice([0, -1, 1, 2**31 - 1] + [2**63 - 1, -(2**63)] * (field.type == field.TYPE_INT64))


def make(messages, seed):
    """Random messages, three of each class: [name, bytes, content]."""
    numbers, made = random.Random(seed), []
    for name in sorted(messages):
        for _ in range(3):
            message = messages[name]()
            fill(message, numbers)
            made.append([name, message.SerializeToString().hex(), content(message)])
    return made


def read(messages, packed):
    """Contents of messages given as [name, bytes]."""
    return [content(messages[name].FromString(bytes.fromhex(data))) for name, data in packed]


def classes(*modules):
    """Name -> class of every top-level message of generated modules."""
    return {name: getattr(module, name) for module in modules
            for name in module.DESCRIPTOR.message_types_by_name}  # fmt: skip


if __name__ == "__main__":
    from ml_metadata.proto import metadata_store_pb2, metadata_store_service_pb2

    modules = (metadata_store_pb2, metadata_store_service_pb2)
    if sys.argv[1] == "describe":
        print(json.dumps([describe(module.DESCRIPTOR) for module in modules]))
    elif sys.argv[1] == "make":
        print(json.dumps(make(classes(*modules), 1)))
    else:
        print(json.dumps(read(classes(*modules), json.load(sys.stdin))))
