"""The examples in the help of commands: command lines with what they do. A test parses each of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, TypeAlias

Examples: TypeAlias = tuple[tuple[str, str], ...]

EXAMPLES: Final[Mapping[str, Examples]] = {
    "fnkit": (
        ("fnkit new shop", "create a project in the folder shop"),
        ("fnkit dev", "run it here, and deploy each change as it is saved"),
        ("fnkit deploy --local", "deploy it to the local platform"),
        ("fnkit plan", "show what a deploy to Scaleway would change"),
    ),
    "fnkit new": (
        ("fnkit new shop", "a project with an HTTP function, in the folder shop"),
        ("fnkit new shop --template cron", "one with a function that runs every hour"),
        ("fnkit new --list", "list the templates"),
    ),
    "fnkit init": (
        ("fnkit init", "make the current folder a project"),
        ("fnkit init services/mail", "make another folder one"),
    ),
    "fnkit login": (
        ("fnkit login", "ask for the keys of the default profile"),
        ("fnkit login --profile work --region nl-ams", "save another profile"),
    ),
    "fnkit scan": (
        ("fnkit scan", "list functions and problems"),
        ("fnkit scan --json", "the same for scripts and editors"),
    ),
    "fnkit bundle": (
        ("fnkit bundle", "build the archives of all functions"),
        ("fnkit bundle hello --out dist", "build that of one, into the folder dist"),
    ),
    "fnkit lock": (
        ("fnkit lock", "write the lock files"),
        ("fnkit lock --upgrade", "with the newest versions that the requirements allow"),
    ),
    "fnkit plan": (
        ("fnkit plan --local", "compare with the local platform"),
        ("fnkit plan --out shop.plan", "save the plan for `fnkit deploy --plan shop.plan`"),
        ("fnkit plan --exit-code", "exit with 2 if there are changes"),
    ),
    "fnkit deploy": (
        ("fnkit deploy --local", "deploy to the local platform"),
        ("fnkit deploy --stage preview", "deploy to a stage of its own at Scaleway"),
        ("fnkit deploy hello", "deploy one function"),
    ),
    "fnkit status": (
        ("fnkit status", "what is deployed at Scaleway"),
        ("fnkit status --local --stage preview", "a stage on the local platform"),
    ),
    "fnkit dev": (
        ("fnkit dev", "serve the project until q or Ctrl-C"),
        ("fnkit dev --port 8000", "at a port of your choice"),
    ),
    "fnkit invoke": (
        ("fnkit invoke hello --path '/?name=Ada'", "run the handler here, once"),
        ("fnkit invoke orders -X POST -d @order.json", "with a file as the body of the request"),
        ("fnkit invoke hello --remote --local", "call what is deployed on the local platform"),
    ),
    "fnkit test": (
        ("fnkit test", "run all tests"),
        ("fnkit test -- -k hello -x", "with options of pytest"),
    ),
    "fnkit openapi": (
        ("fnkit openapi > openapi.json", "write the document to a file"),
        ("fnkit openapi --yaml", "in YAML"),
    ),
    "fnkit event http": (
        ("fnkit event http --path '/orders?page=2'", "the event of a GET request"),
        ("fnkit event http -X POST -d @order.json", "one with a body"),
    ),
    "fnkit event cron": (
        ("fnkit event cron cleanup", "the event of a run of a cron of the project"),
        ("fnkit event cron --args '{\"full\": true}'", "one with these arguments"),
    ),
    "fnkit event nats": (
        ("fnkit event nats -d @order.json | fnkit invoke on-order --event -", "handle a message here, once"),
    ),
    "fnkit event sqs": (
        ("fnkit event sqs -d '{\"id\": 1}' | fnkit invoke on-job --event -", "handle a message here, once"),
    ),
    "fnkit logs": (
        ("fnkit logs hello --follow", "print new lines until Ctrl-C"),
        ("fnkit logs --since 10m --level error", "errors of all functions in the last ten minutes"),
    ),
    "fnkit cron list": (("fnkit cron list --local", "the crons on the local platform"),),
    "fnkit cron next": (
        ("fnkit cron next cleanup", "the next runs of a cron of the project"),
        ("fnkit cron next '0 6 * * 1-5'", "those of a schedule"),
    ),
    "fnkit cron run": (("fnkit cron run cleanup --local", "run it now, on the local platform"),),
    "fnkit cron history": (
        ("fnkit cron history cleanup --local", "its last runs"),
        ("fnkit cron history cleanup --local --replay-failed", "run the failed ones again"),
    ),
    "fnkit trigger list": (("fnkit trigger list --local", "the triggers on the local platform"),),
    "fnkit trigger deliveries": (
        ("fnkit trigger deliveries on-order --local --failed", "messages that were not handled"),
        ("fnkit trigger deliveries on-order --local --replay-failed", "handle them again"),
    ),
    "fnkit trigger send": (
        (
            "fnkit trigger send on-order @order.json --local",
            "send a message to its subject or queue",
        ),
    ),
    "fnkit open": (("fnkit open hello --local", "open it in the browser"),),
    "fnkit token create": (
        ("fnkit token create admin", "a token for one function"),
        ("fnkit token create --expires 12h", "one for all functions, for twelve hours"),
    ),
    "fnkit token list": (("fnkit token list --json", "the tokens, for scripts"),),
    "fnkit token delete": (
        ("fnkit token delete 11111111-2222-4333-8444-555555555555", "by its ID, which `fnkit token list` shows"),
    ),
    "fnkit domain add": (("fnkit domain add shop.example.com hello", "serve hello at this hostname"),),
    "fnkit domain list": (("fnkit domain list", "the hostnames and their states"),),
    "fnkit domain remove": (("fnkit domain remove shop.example.com", "stop serving it"),),
    "fnkit secret list": (
        ("fnkit secret list", "where the values of secrets come from"),
        ("fnkit secret list --deployed", "and which functions have them"),
    ),
    "fnkit secret set": (
        ("fnkit secret set API_TOKEN", "ask for the value, and save it in .env"),
        ("fnkit secret set API_TOKEN --stage preview", "save it in .env.preview"),
    ),
    "fnkit secret unset": (("fnkit secret unset API_TOKEN", "remove the value from .env"),),
    "fnkit destroy": (("fnkit destroy --stage preview", "delete everything of a stage, after a question"),),
    "fnkit doctor": (
        ("fnkit doctor", "check what a deploy to Scaleway needs"),
        ("fnkit doctor --local", "check what the local platform needs"),
    ),
    "fnkit explain": (
        ("fnkit explain bad-schedule", "what it means, and what to do"),
        ("fnkit explain", "list all codes"),
    ),
    "fnkit completion": (("fnkit completion bash", "print the script for bash"),),
    "fnkit platform start": (
        ("fnkit platform start --detach", "start it in the background"),
        ("fnkit platform start --manual-clock --temporary", "for tests: requests to the API move the time"),
    ),
    "fnkit platform stop": (("fnkit platform stop", "stop it; everything that is deployed stays"),),
    "fnkit platform status": (("fnkit platform status --json", "its addresses and state, for scripts"),),
    "fnkit platform reset": (("fnkit platform reset --yes", "delete everything without a question"),),
    "fnkit platform backup": (("fnkit platform backup platform.backup", "write a backup"),),
    "fnkit platform restore": (("fnkit platform restore platform.backup", "go back to it"),),
    "fnkit platform logs": (
        ("fnkit platform logs --process api --follow", "requests to the API, as they come"),
        ("fnkit platform logs --lines 20", "the newest lines of each process"),
    ),
    "fnkit platform env": (
        ('eval "$(fnkit platform env)"', "let other tools of this shell use the platform"),
        ("fnkit platform env --format terraform", "a provider block"),
    ),
    "fnkit platform trust": (
        ("fnkit platform trust", "show how programs trust the certificate"),
        ("sudo fnkit platform trust --install", "make this machine trust it"),
    ),
    "fnkit platform manifests": (
        ("fnkit platform manifests --image registry.example.com/fnkit:1 | kubectl apply -f -", "install it"),
    ),
    "fnkit platform api-key create": (
        ("fnkit platform api-key create --read-only --description CI", "a key that changes nothing"),
    ),
    "fnkit platform api-key list": (("fnkit platform api-key list", "the keys, without their secrets"),),
    "fnkit platform api-key delete": (("fnkit platform api-key delete SCW00000000000000000", "reject a key"),),
}
"""By the command."""
