"""The options of `tollbridge load`, each with its help; values only."""

from pathlib import Path
from typing import Annotated

import typer

from bridge.lab.load.plan import PARTICIPANTS_MAX, TALKERS_MAX

Participants = Annotated[int, typer.Option(min=2, max=PARTICIPANTS_MAX, help="Callers.")]
Conferences = Annotated[int, typer.Option(min=0, help="Conferences; 0: one for each ten callers.")]
Rate = Annotated[float, typer.Option(min=0.1, max=1_000, help="Calls a second while they come in.")]
Duration = Annotated[
    float | None,
    typer.Option(min=1, max=86_400, help="Seconds with all of them in; 60, of a step 10."),
]
Codec = Annotated[str, typer.Option(help="PCMU or PCMA.")]
Profile = Annotated[
    str,
    typer.Option(
        help="talk: all talk; listen: one at a time in each conference; churn: talk, and"
        " callers leave and call again all the time."
    ),
]
Talkers = Annotated[
    int,
    typer.Option(
        min=1, max=TALKERS_MAX, help="Voices at one time in a conference; more take turns."
    ),
]
ChurnRate = Annotated[
    float, typer.Option(min=0, help="Calls that end each second in churn; 0: a call is 20 s.")
]
Target = Annotated[
    str,
    typer.Option(
        help="URI to dial, such as sip:{conference:04}@192.0.2.7:5060; without it a bridge is"
        " started for the run."
    ),
]
Keys = Annotated[
    str, typer.Option(help="Pressed once answered (RFC 4733), such as '{conference}#'.")
]
OrganizerKeys = Annotated[
    str, typer.Option(help="Pressed instead by the first caller of each conference.")
]
First = Annotated[int, typer.Option(min=0, help="What {conference} counts from.")]
Settle = Annotated[
    float, typer.Option(min=0, max=60, help="Seconds after answer and keys: prompts pass.")
]
Sample = Annotated[
    int, typer.Option(min=1, max=1_000, help="Listeners whose ears are examined each second.")
]
JsonFile = Annotated[
    Path | None, typer.Option("--json", help="Write everything as JSON; - is standard output.")
]
Html = Annotated[Path | None, typer.Option(help="Write the report as one page.")]
FindCapacity = Annotated[
    bool, typer.Option("--find-capacity", help="Add callers in steps until a limit breaks.")
]
Step = Annotated[int, typer.Option(min=2, help="Callers of one such step.")]
MaxFailures = Annotated[int, typer.Option(min=0, help="Calls failed or dropped.")]
MaxMissing = Annotated[int, typer.Option(min=0, help="Voices due and not heard.")]
MaxWrong = Annotated[int, typer.Option(min=0, help="Voices heard that must not be.")]
MaxOneWay = Annotated[
    int, typer.Option(min=0, help="Seconds of a caller without a packet, callers unheard.")
]
MaxSetupP99Ms = Annotated[float | None, typer.Option(help="INVITE to 200.")]
MaxLoss = Annotated[float | None, typer.Option(help="Percent of packets.")]
MaxGapMs = Annotated[float | None, typer.Option(help="Between two packets.")]
MaxDelayP95Ms = Annotated[float | None, typer.Option(help="Through the bridge.")]
MinMos = Annotated[float | None, typer.Option(help="Of the worst caller.")]
MinPps = Annotated[float | None, typer.Option(help="Packets a second, worst caller.")]
