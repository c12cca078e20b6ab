"""What Pusher takes and gives; the work is in `executor`."""

from __future__ import annotations

from tidemill.dsl.component import Input, Outputs, component
from tidemill.types.destination import Destination
from tidemill.types.standard import InfraBlessing, Model, ModelBlessing, PushedModel


class PusherOutputs(Outputs):
    """Where the model went, if it did."""

    pushed_model: PushedModel


@component(executor="tidemill.components.pusher.executor:run", effects=True)
def Pusher(
    model: Input[Model],
    *,
    blessing: Input[ModelBlessing] | None = None,
    infra_blessing: Input[InfraBlessing] | None = None,
    destination: str | Destination,
    as_of: str = "",
    keep: int | None = None,
    force: bool = False,
) -> PusherOutputs:
    """Put a model where it is served, whole or not at all, and make it the current one.

    blessing, infra_blessing: those that are given must be blessed; otherwise nothing is written.
    destination: a local folder: `versions/<version>/` holds the models, `current.json` says which one is
        served (`tidemill serve FOLDER` follows it). Or one of `tidemill.types.destination`: `Filesystem`,
        `KServe`, `MlflowRegistry`, `Webhook`.
    as_of: ISO date of the data, such as `run.date`. The current model is never replaced by one of an older
        date, unless `force`; the older one is only kept as a version. A webhook is told the date.
    keep: how many versions of a folder to keep, the current one always among them; all by default.
    force: replace a model of a newer date, or bring bytes back that somebody rolled back from.

    Pushing the same bytes again writes nothing new. Sets `pushed` (0 when refused), `pushed_version`,
    `pushed_destination` and `reason`; the artifact's `uri` is the version's folder where there is one.
    `tidemill models rollback FOLDER` goes back. Secrets are named by their environment variables only.
    Errors: StorageError for a full disk or a folder that is not local, DataError for an as_of that
    is no date and a destination that makes no sense, TransientError when a service cannot be reached. After
    an error or a crash the old version is still current, and a rerun mends the rest.
    """
