"""The intermediate representation: where the definition language and the runtime meet."""
