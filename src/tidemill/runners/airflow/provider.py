"""What Airflow's list of providers says of tidemill. Every process asks for it, so nothing is imported."""

from __future__ import annotations

from typing import Any

from tidemill import __version__

_ROOM = "tidemill.runners.airflow"


def get_provider_info() -> dict[str, Any]:
    """As `provider_info.schema.json` of Airflow has it."""
    return {
        "package-name": "tidemill",
        "name": "tidemill",
        "description": "ML pipelines with typed artifacts, lineage and caching, run by Airflow.",
        "versions": [__version__],
        "integrations": [{"integration-name": "tidemill", "external-doc-url": "", "tags": ["software"]}],
        "operators": [{"integration-name": "tidemill", "python-modules": [f"{_ROOM}.operator"]}],
        "hooks": [{"integration-name": "tidemill", "python-modules": [f"{_ROOM}.hook"]}],
        "triggers": [{"integration-name": "tidemill", "python-modules": [f"{_ROOM}.watcher"]}],
        "extra-links": [f"{_ROOM}.links.RunLink"],
        "connection-types": [
            {
                "connection-type": "tidemill",
                "hook-class-name": f"{_ROOM}.hook.TidemillHook",
                "hook-name": "tidemill metadata store",
                "ui-field-behaviour": {
                    "hidden-fields": ["host", "schema", "login", "port", "extra"],
                    "relabeling": {"password": "Metadata URL"},
                    "placeholders": {"password": "postgresql://user:password@host/database"},
                },
            }
        ],
        "config": {
            "tidemill": {
                "description": "Where tidemill's record is, and where it can be looked at.",
                "options": {
                    "metadata": {
                        "description": "URL of the metadata store, or airflow://CONNECTION_ID, for the "
                        "plugin's pages, for triggers and for alerts. TIDEMILL_METADATA wins.",
                        "version_added": __version__, "type": "string", "example": "airflow://records",
                        "default": "", "sensitive": True,
                    },
                    "url": {
                        "description": "Address of tidemill's own pages, which tasks link to. TIDEMILL_URL "
                        "wins. Empty: the pages that the plugin serves.",
                        "version_added": __version__, "type": "string", "example": "https://mill.example.org",
                        "default": "",
                    },
                },
            }
        },
    }  # fmt: skip
