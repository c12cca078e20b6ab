"""One program for MLMD's Python interface, run with tidemill.mlmd and with the real ml_metadata.

    python mlmd_program.py SIDE ACTION FILE      SIDE: tidemill or ml_metadata; FILE: "" for in memory

`run` makes a store of everything and prints what each step gave or how it failed; `dump` prints every
field of everything that is in a store. Used by test_same_program.py; runs on ml_metadata's protobuf too.
"""

import json
import sys
import time

from google.protobuf import json_format


def load(side):
    if side == "tidemill":
        from tidemill import mlmd
        from tidemill.mlmd import metadata_store_pb2

        return mlmd, metadata_store_pb2
    from ml_metadata.metadata_store import metadata_store
    from ml_metadata.proto import metadata_store_pb2

    return metadata_store, metadata_store_pb2


def connect(mlmd, pb, path):
    config = pb.ConnectionConfig()
    if path:
        config.sqlite.filename_uri = path
    else:
        config.fake_database.SetInParent()
    return mlmd.MetadataStore(config)


def plain(found):
    """Messages as dictionaries, and whatever holds them as lists."""
    if hasattr(found, "DESCRIPTOR"):
        pool = found.DESCRIPTOR.file.pool
        return json_format.MessageToDict(found, preserving_proto_field_name=True, descriptor_pool=pool)
    if isinstance(found, list | tuple):
        return [plain(one) for one in found]
    return found


def timeless(found):
    """Without times, but with whether an update came after the creation."""
    if isinstance(found, list):
        return [timeless(one) for one in found]
    if isinstance(found, dict):
        kept = {name: timeless(value) for name, value in found.items() if "since_epoch" not in name}
        if "create_time_since_epoch" in found:
            kept["updated"] = found["create_time_since_epoch"] != found["last_update_time_since_epoch"]
        return kept
    return found


class Steps:
    """What each step gave, by its name."""

    def __init__(self):
        self.found = {}

    def __call__(self, name, action):
        began = time.time_ns() // 10**6
        while time.time_ns() // 10**6 == began:
            pass  # MLMD's times are milliseconds: two steps of one would look like no update
        try:
            answer = timeless(plain(action()))
        except Exception as error:
            answer = [type(error).__name__, getattr(error, "error_code", None)]
        assert name not in self.found, name
        self.found[name] = answer


def run(mlmd, pb, store):
    step = Steps()
    types(step, pb, store)
    artifacts(step, pb, store)
    masks(step, pb, store)
    others(step, pb, store)
    edges(step, pb, store)
    publish(step, pb, store)
    subgraph(step, pb, store)
    lists(step, mlmd, store)
    lineage(step, pb, store)
    return step.found


def types(step, pb, store):
    kinds = ("whole", "real", "text", "shape", "any", "yes")  # in the order of the numbers of PropertyType
    model = pb.ArtifactType(name="Model", properties={name: i for i, name in enumerate(kinds, 1)})
    step("new type", lambda: store.put_artifact_type(model))
    step("same type", lambda: store.put_artifact_type(model))
    fewer = pb.ArtifactType(name="Model", properties={"whole": pb.INT})
    more = pb.ArtifactType(name="Model", properties=dict(model.properties, extra=pb.STRING))
    other = pb.ArtifactType(name="Model", properties={"whole": pb.STRING})
    mixed = pb.ArtifactType(name="Model", properties={"whole": pb.INT, "third": pb.STRING})
    step("omit refused", lambda: store.put_artifact_type(fewer))
    step("omit allowed", lambda: store.put_artifact_type(fewer, can_omit_fields=True))
    step("add refused", lambda: store.put_artifact_type(more))
    step("add allowed", lambda: store.put_artifact_type(more, can_add_fields=True))
    step("retype", lambda: store.put_artifact_type(other, True, True))
    step("omit and add", lambda: store.put_artifact_type(mixed, True, True))
    step("evolved", lambda: store.get_artifact_type("Model"))
    full = {"name": "Based", "version": "v1", "description": "what", "base_type": pb.ArtifactType.MODEL}
    step("versioned", lambda: store.put_artifact_type(pb.ArtifactType(**full)))
    step("version wanted", lambda: store.get_artifact_type("Based", "v1"))
    step("version missing", lambda: store.get_artifact_type("Based"))
    step("base again", lambda: store.put_artifact_type(pb.ArtifactType(**full)))
    step("base left out", lambda: store.put_artifact_type(pb.ArtifactType(name="Based", version="v1")))
    step("base changed", lambda: store.put_artifact_type(pb.ArtifactType(**dict(full, base_type=1))))
    step("base unset", lambda: store.put_artifact_type(pb.ArtifactType(**dict(full, base_type=0))))
    step("no name", lambda: store.put_artifact_type(pb.ArtifactType()))
    unknown = pb.ArtifactType(name="Unknown", properties={"p": pb.UNKNOWN})
    step("unknown property", lambda: store.put_artifact_type(unknown))
    step("unknown type", lambda: store.get_artifact_type("Nobody"))
    train = pb.ExecutionType(name="Trainer", properties={"steps": pb.INT}, base_type=1)
    train.input_type.any.SetInParent()
    train.output_type.dict.properties["model"].simple.name = "Model"
    step("execution type", lambda: store.put_execution_type(train))
    step("execution type read", lambda: store.get_execution_type("Trainer"))
    step("context type", lambda: store.put_context_type(pb.ContextType(name="Run", properties={"p": 3})))
    step("context base", lambda: store.put_context_type(pb.ContextType(name="Based", base_type=0)))
    outer = pb.ContextType(name="Outer", external_id="outer type")
    step("external id", lambda: store.put_context_type(outer))
    step(
        "external id taken",
        lambda: store.put_context_type(pb.ContextType(name="X", external_id="outer type")),
    )
    step("by external id", lambda: store.get_context_types_by_external_ids(["outer type"]))
    step("no external id", lambda: store.get_context_types_by_external_ids(["none"]))
    step("types by id", lambda: store.get_artifact_types_by_id([11, 1, 999, 10]))
    step("artifact types", store.get_artifact_types)
    step("execution types", store.get_execution_types)


def artifacts(step, pb, store):
    def put(**fields):
        return store.put_artifacts([pb.Artifact(**fields)])

    step("bare", lambda: store.get_artifacts_by_id(put(type_id=10)))
    step("empty texts", lambda: store.get_artifacts_by_id(put(type_id=10, name="", uri="", external_id="")))
    step("empty name again", lambda: put(type_id=10, name=""))
    step("unknown type id", lambda: put(type_id=999))
    step("type of an execution", lambda: put(type_id=12))
    step("no type id", lambda: put(uri="u"))
    step("unknown id", lambda: put(id=999, type_id=10))
    full = pb.Artifact(type_id=10, name="full", uri="file:///full", external_id="e1", state=pb.Artifact.LIVE)
    full.properties["whole"].int_value = -(2**63)
    full.properties["real"].double_value = 0.1
    full.properties["text"].string_value = "ä'\"\n%_?"
    full.properties["shape"].struct_value.update({"a": 1, "b": [1, {"c": None}]})
    full.properties["any"].proto_value.Pack(pb.Event(artifact_id=7))
    full.properties["yes"].bool_value = False
    full.custom_properties["whole"].string_value = "another, under the same name"
    full.custom_properties["list"].struct_value.SetInParent()
    full.custom_properties["any"].proto_value.Pack(pb.Event())
    step("full", lambda: store.get_artifacts_by_id(store.put_artifacts([full])))
    step("name taken", lambda: put(type_id=10, name="full"))
    step("name of another type", lambda: put(type_id=11, name="full"))
    step("external id of another", lambda: put(type_id=11, external_id="e1"))
    step("undeclared", lambda: put(type_id=10, properties={"nobody": pb.Value(int_value=1)}))
    step("mistyped", lambda: put(type_id=10, properties={"whole": pb.Value(string_value="1")}))
    step("no value", lambda: put(type_id=10, properties={"whole": pb.Value()}))
    step("all or nothing", lambda: store.put_artifacts([pb.Artifact(type_id=10), pb.Artifact(type_id=99)]))
    step("ids in any order", lambda: [a.id for a in store.get_artifacts_by_id([3, 1, 1, 99, 2])])
    step("no ids", lambda: store.get_artifacts_by_id([]))
    nodes, kinds = store.get_artifacts_and_types_by_artifact_ids([4, 3])
    step("with types", lambda: [[a.id for a in nodes], [t.name for t in kinds]])
    step("by uri", lambda: store.get_artifacts_by_uri("file:///full"))
    step("by external", lambda: store.get_artifacts_by_external_ids(["e1", "e2"]))
    step("by no external", lambda: store.get_artifacts_by_external_ids(["e2"]))
    step("by empty external", lambda: store.get_artifacts_by_external_ids([""]))
    step("by type", lambda: [a.id for a in store.get_artifacts_by_type("Model")])
    step("by type and version", lambda: store.get_artifacts_by_type("Based", "v1"))
    step("by unknown type", lambda: store.get_artifacts_by_type("Based"))
    step("by name", lambda: store.get_artifact_by_type_and_name("Model", "full"))
    step("by unknown name", lambda: store.get_artifact_by_type_and_name("Model", "nobody"))
    step("by name of unknown type", lambda: store.get_artifact_by_type_and_name("Nobody", "full"))


def masks(step, pb, store):
    def put(paths=None, custom=None, declared=None, **fields):
        artifact = pb.Artifact(id=1, **fields)
        for name, value in (custom or {}).items():
            artifact.custom_properties[name].int_value = value
        for name, value in (declared or {}).items():
            artifact.properties[name].int_value = value
        store.put_artifacts([artifact], paths)
        return store.get_artifacts_by_id([1])

    step(
        "replaced",
        lambda: put(uri="u", state=2, name="not kept", custom={"k": 1, "m": 1}, declared={"whole": 1}),
    )
    step("other type", lambda: put(type_id=11))
    step("one field", lambda: put(["uri", "nobody"], uri="u2", state=5, custom={"k": 2}))
    step("one property", lambda: put(["custom_properties.k"], uri="u3", custom={"k": 2, "l": 3}))
    step("property removed", lambda: put(["custom_properties.k"]))
    step(
        "all custom",
        lambda: put(["custom_properties", "properties.whole"], custom={"n": 1}, declared={"whole": 2}),
    )
    step("outside the mask", lambda: put(["uri"], uri="u4", declared={"nobody": 1}))
    step("inside the mask", lambda: put(["properties"], declared={"nobody": 1}))
    step("field cleared", lambda: put(["state"]))
    step("mask of a new one", lambda: store.get_artifacts_by_id(
        store.put_artifacts([pb.Artifact(type_id=10, uri="x", state=2)], ["state"])))  # fmt: skip
    step("put as got", lambda: store.put_artifacts(store.get_artifacts_by_id([3])))
    step("not updated", lambda: store.get_artifacts_by_id([3]))
    step("replaced by nothing", lambda: put())


def others(step, pb, store):
    def put_context(paths=None, **fields):
        return store.get_contexts_by_id(store.put_contexts([pb.Context(**fields)], paths))

    step("context", lambda: put_context(type_id=13, name="c1", external_id="ce1"))
    step("context without name", lambda: put_context(type_id=13))
    step("context with empty name", lambda: put_context(type_id=13, name=""))
    step("context name taken", lambda: put_context(type_id=13, name="c1"))
    step("context renamed", lambda: put_context(id=1, name="c2"))
    step("context to no name", lambda: put_context(id=1))
    step("context mask", lambda: put_context(["external_id"], id=1, external_id="ce2"))
    execution = pb.Execution(type_id=12, name="e1", last_known_state=pb.Execution.RUNNING, external_id="ee1")
    execution.properties["steps"].int_value = 3
    execution.custom_properties["rate"].double_value = 0.5
    step("execution", lambda: store.get_executions_by_id(store.put_executions([execution])))
    step("execution updated", lambda: store.get_executions_by_id(store.put_executions([pb.Execution(id=1)])))
    step("execution by name", lambda: store.get_execution_by_type_and_name("Trainer", "e1"))
    step("executions by type", lambda: len(store.get_executions_by_type("Trainer")))
    step("executions by external", lambda: store.get_executions_by_external_ids(["ee1"]))
    step("contexts by type", lambda: store.get_contexts_by_type("Run"))
    step("context by name", lambda: store.get_context_by_type_and_name("Run", "c2"))
    step("contexts by external", lambda: store.get_contexts_by_external_ids(["ce2"]))


def edges(step, pb, store):
    used = pb.Event(artifact_id=1, execution_id=1, type=pb.Event.INPUT)
    used.path.steps.add(key="examples")
    used.path.steps.add(index=0)
    used.path.steps.add()
    step("event", lambda: store.put_events([used, pb.Event(artifact_id=3, execution_id=1, type=4)]))
    step("event again", lambda: store.put_events([used]))
    step("event of no type", lambda: store.put_events([pb.Event(artifact_id=1, execution_id=1)]))
    step("event of no artifact", lambda: store.put_events([pb.Event(execution_id=1, type=3)]))
    step("event of no execution", lambda: store.put_events([pb.Event(artifact_id=1, type=3)]))
    step(
        "event of unknown artifact",
        lambda: store.put_events([pb.Event(artifact_id=99, execution_id=1, type=3)]),
    )
    step(
        "event of unknown execution",
        lambda: store.put_events([pb.Event(artifact_id=1, execution_id=9, type=3)]),
    )
    step("events of artifact", lambda: store.get_events_by_artifact_ids([1, 1, 99]))
    step("events of execution", lambda: store.get_events_by_execution_ids([1]))
    step("no events", lambda: store.get_events_by_execution_ids([99]))
    attribution, association = (
        pb.Attribution(artifact_id=1, context_id=1),
        pb.Association(execution_id=1, context_id=1),
    )
    link = store.put_attributions_and_associations
    step("linked", lambda: link([attribution, attribution], [association]))
    step("linked again", lambda: link([attribution], [association]))
    step("unknown artifact", lambda: link([pb.Attribution(artifact_id=99, context_id=1)], []))
    step("unknown context", lambda: link([], [pb.Association(execution_id=1, context_id=99)]))
    step("nothing to link", lambda: link([pb.Attribution()], []))
    step("contexts of artifact", lambda: store.get_contexts_by_artifact(1))
    step("contexts of execution", lambda: store.get_contexts_by_execution(1))
    step("contexts of none", lambda: store.get_contexts_by_artifact(2))
    step("artifacts of context", lambda: store.get_artifacts_by_context(1))
    step("executions of context", lambda: store.get_executions_by_context(1))
    step("artifacts of unknown context", lambda: store.get_artifacts_by_context(99))
    ids = store.put_contexts([pb.Context(type_id=14, name=f"p{i}") for i in range(3)])
    step("contexts made", lambda: ids)

    def parent(child, above):
        return store.put_parent_contexts([pb.ParentContext(child_id=child, parent_id=above)])

    step("parents", lambda: [parent(1, ids[0]), parent(ids[0], ids[1]), parent(1, ids[2])])
    step("parent again", lambda: parent(1, ids[0]))
    step("circle", lambda: parent(ids[1], 1))
    step("own parent", lambda: parent(1, 1))
    step("unknown parent", lambda: parent(1, 99))
    step("no parent", lambda: store.put_parent_contexts([pb.ParentContext(child_id=1)]))
    step("above", lambda: store.get_parent_contexts_by_context(1))
    step("below", lambda: store.get_children_contexts_by_context(ids[1]))
    step("above none", lambda: store.get_parent_contexts_by_context(99))


def publish(step, pb, store):
    def put(pairs=(), contexts=(), execution=None, **options):
        execution = execution or pb.Execution(type_id=12)
        return store.put_execution(execution, pairs, contexts, **options)

    made, used = pb.Event(type=pb.Event.OUTPUT), pb.Event(type=pb.Event.INPUT)
    new = pb.Artifact(type_id=10, uri="published")
    run = pb.Context(type_id=13, name="published")
    step("published", lambda: put([(pb.Artifact(id=1), used), (new, made)], [run]))
    step("its events", lambda: store.get_events_by_execution_ids([2]))
    step("its context", lambda: store.get_contexts_by_execution(2))
    step("context exists", lambda: put([], [run]))
    step("context reused", lambda: put([(new, made)], [run, run], reuse_context_if_already_exist=True))
    step("context unchanged", lambda: store.get_contexts_by_type("Run"))
    step("context forced", lambda: put([], [pb.Context(id=1)], force_reuse_context=True))
    step("context forced, unknown", lambda: put([], [pb.Context(id=99)], force_reuse_context=True))
    step("context without type", lambda: put([], [pb.Context(name="q")]))
    step("context of unknown type", lambda: put([], [pb.Context(type_id=99, name="q")]))
    step("no event", lambda: put([(new, None)]))
    step("no artifact", lambda: put([(None, pb.Event(type=3, artifact_id=1))]))
    step("neither", lambda: put([(None, None), ()]))
    step("event alone", lambda: put([(None, used)]))
    step("event of another", lambda: put([(pb.Artifact(id=1), pb.Event(type=3, artifact_id=2))]))
    step("event of another execution", lambda: put([(pb.Artifact(id=1), pb.Event(type=3, execution_id=1))]))
    step("two roles", lambda: put([(pb.Artifact(id=1), used), (pb.Artifact(id=1), made)]))
    step("one role twice", lambda: put([(pb.Artifact(id=1), used), (pb.Artifact(id=1), used)]))
    step("nothing was kept", lambda: len(store.get_executions()))
    keyed = pb.Artifact(type_id=10, uri="keyed", external_id="key")
    again = pb.Artifact(type_id=10, uri="again", external_id="key")
    reuse = {"reuse_artifact_if_already_exist_by_external_id": True}
    step("keyed", lambda: put([(keyed, made), (again, used)], **reuse))
    step("keyed was updated", lambda: [a.uri for a in store.get_artifacts_by_external_ids(["key"])])
    step("keyed, not reused", lambda: put([(again, made)]))
    step("updated in place", lambda: put(execution=pb.Execution(id=2, type_id=12, last_known_state=3)))
    step("is complete", lambda: store.get_executions_by_id([2]))
    (got,) = store.get_executions_by_id([3])
    step("time forced", lambda: put(execution=got, force_update_time=True))
    step("has a new time", lambda: store.get_executions_by_id([3]))


def subgraph(step, pb, store):
    def put(edges, executions=1, artifacts=1, contexts=("s",), **options):
        return store.put_lineage_subgraph(
            [pb.Execution(type_id=12) for _ in range(executions)],
            [pb.Artifact(type_id=10, uri="s") for _ in range(artifacts)],
            [pb.Context(type_id=13, name=name) for name in contexts], edges, **options)  # fmt: skip

    made = pb.Event(type=pb.Event.OUTPUT)
    step("graph", lambda: put([(0, 0, made), (0, 1, pb.Event(type=3)), (1, 1, made)], 2, 2))
    step("graph again", lambda: put([(0, 0, made)]))
    step("graph reused", lambda: put([(0, 0, made)], reuse_context_if_already_exist=True))
    step(
        "edges by id", lambda: put([(None, None, pb.Event(type=3, artifact_id=1, execution_id=3))], 0, 0, ())
    )
    step("index too large", lambda: put([(1, 0, made)]))
    step("index negative", lambda: put([(0, -1, made)]))
    step("no execution of edge", lambda: put([(None, 0, made)]))
    step("no artifact of edge", lambda: put([(0, None, made)]))
    step("no event of edge", lambda: put([(0, 0, None)]))
    step("id of a new node", lambda: put([(0, 0, pb.Event(type=3, artifact_id=1))]))
    step("no type of node", lambda: store.put_lineage_subgraph([], [pb.Artifact(id=1)], [], []))
    step("unknown type of node", lambda: store.put_lineage_subgraph([], [pb.Artifact(type_id=99)], [], []))
    step("nothing", lambda: store.put_lineage_subgraph([], [], [], []))


def lists(step, mlmd, store):
    order = mlmd.OrderByField

    def ids(**options):
        return [a.id for a in store.get_artifacts(mlmd.ListOptions(**options))]

    step("all", lambda: [a.id for a in store.get_artifacts()])
    step("all, listed", ids)
    step("three", lambda: ids(limit=3))
    step("newest", lambda: ids(limit=3, order_by=order.ID, is_asc=False))
    step("limit 0", lambda: ids(limit=0))
    step("limit -1", lambda: ids(limit=-1))
    step("filter", lambda: ids(filter_query="uri = 's'"))
    step("filter and order", lambda: ids(filter_query="uri != ''", order_by=order.ID, is_asc=False, limit=2))
    step("filter, mistaken", lambda: ids(filter_query="uri = "))
    step("in context", lambda: store.get_executions_by_context(1, mlmd.ListOptions(order_by=order.ID)))
    found = mlmd.ListOptions(filter_query="contexts_x.name = 'published'")
    step("by context", lambda: [e.id for e in store.get_executions(found)])
    step(
        "contexts", lambda: [c.name for c in store.get_contexts(mlmd.ListOptions(order_by=order.CREATE_TIME))]
    )


def lineage(step, pb, store):
    def ask(query, mask=None, **options):
        asked = pb.LineageSubgraphQueryOptions(**options)
        if query is not None:
            asked.starting_artifacts.filter_query = query
        found = store.get_lineage_subgraph(asked, mask)
        for field in ("artifacts", "executions", "contexts", "attributions", "associations", "events"):
            kept = sorted(getattr(found, field), key=lambda m: m.SerializeToString(deterministic=True))
            found.ClearField(field)
            getattr(found, field).extend(kept)
        return found

    step("lineage, no start", lambda: ask(None))
    step("lineage, no query", lambda: ask(""))
    step("lineage, negative", lambda: ask("id = 1", max_num_hops=-1))
    step("lineage, none", lambda: ask("id = 999"))
    step("lineage, mistaken", lambda: ask("id ="))
    step("lineage, 0", lambda: ask("id = 1", max_num_hops=0))
    step("lineage, 1", lambda: ask("id = 1", max_num_hops=1))
    step("lineage, whole", lambda: ask("id = 1"))
    step("lineage, up", lambda: ask("uri = 's'", direction=pb.LineageSubgraphQueryOptions.UPSTREAM))
    step("lineage, down", lambda: ask("id = 1", direction=pb.LineageSubgraphQueryOptions.DOWNSTREAM))
    step("lineage, masked", lambda: ask("id = 1", ["events", "artifacts"]))
    ending = pb.LineageSubgraphQueryOptions.EndingNodes(filter_query="id = 2")
    step("lineage, ending", lambda: ask("id = 1", ending_executions=ending))
    ending.include_ending_nodes = True
    step("lineage, ending within", lambda: ask("id = 1", ending_executions=ending))


def dump(mlmd, pb, store):
    """Every field of everything in a store."""
    artifacts, executions, contexts = store.get_artifacts(), store.get_executions(), store.get_contexts()
    ids = {kind: sorted({n.type_id for n in nodes}) for kind, nodes in (
        ("artifact", artifacts), ("execution", executions), ("context", contexts))}  # fmt: skip
    return {
        "types": [plain(getattr(store, f"get_{kind}_types_by_id")(ids[kind])) for kind in ids],
        "nodes": plain([artifacts, executions, contexts]),
        "events": sorted(
            plain(store.get_events_by_execution_ids([e.id for e in executions])), key=json.dumps
        ),
        "attributions": [[c.id, a.id] for c in contexts for a in store.get_artifacts_by_context(c.id)],
        "associations": [[c.id, e.id] for c in contexts for e in store.get_executions_by_context(c.id)],
        "parents": [[c.id, p.id] for c in contexts for p in store.get_parent_contexts_by_context(c.id)],
    }


def extend(mlmd, pb, store):
    """Add one of everything to a store that `run` has made."""
    execution = pb.Execution(type_id=12, name="extended", last_known_state=pb.Execution.COMPLETE)
    made = pb.Event(type=pb.Event.OUTPUT)
    made.path.steps.add(key="model")
    model = pb.Artifact(type_id=10, name="extended", uri="file:///extended")
    model.custom_properties["any"].proto_value.Pack(made)
    model.properties["yes"].bool_value = True
    used = (pb.Artifact(id=3, uri="file:///moved"), pb.Event(type=pb.Event.INPUT))
    run = pb.Context(type_id=13, name="published")
    return store.put_execution(execution, [used, (model, made)], [run], reuse_context_if_already_exist=True)


if __name__ == "__main__":
    side, action, path = sys.argv[1:]
    module, messages = load(side)
    print(
        json.dumps(
            {"run": run, "dump": dump, "extend": extend}[action](
                module, messages, connect(module, messages, path)
            )
        )
    )
