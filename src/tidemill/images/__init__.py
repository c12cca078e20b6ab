"""Images that pipelines run in: what goes into one, the files to build it from, and registries.

Whoever runs tasks in containers needs one, whatever the engine is called. The room is given folders, names
and versions; it must not know pipelines, the record, or what a task does.

    recipe.py     what an image holds, where, and under which labels
    sources.py    the user's code, as files; secrecy.py: what must never be among them
    lock.py       which packages in which versions; wheels.py, own_wheel.py: their files
    context.py    Dockerfile, .dockerignore and docker-bake.hcl in a folder; engines.py: building them
    append.py     the same image without any engine: one layer more on a base that lies in a registry,
                  of layer.py and manifest.py, through registry.py
"""
