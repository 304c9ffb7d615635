#!/bin/bash
# The first hour of a new user, command by command. Run it as a user without privileges; it works in a home of its own.
#
#   bash first_hour.sh REPOSITORY > first-hour.log
#
# docs/evidence/first-hour.md says what each command showed.
set -u
repository=$1
deploy_output=$(mktemp)
HOME=$(mktemp -d); export HOME
unset XDG_CACHE_HOME XDG_CONFIG_HOME XDG_DATA_HOME FNKIT_HOME FNKIT_CACHE
cd; mkdir projects
say() { printf '\n##### %s\n' "$*"; }
run() { printf '$ %s\n' "$*"; local s=$(date +%s.%N); "$@" </dev/null; local c=$?; printf '[exit %s, %.2f s]\n' $c "$(echo "$(date +%s.%N)-$s" | bc)"; }
sh_() { printf '$ %s\n' "$1"; local s=$(date +%s.%N); bash -c "$1" </dev/null; local c=$?; printf '[exit %s, %.2f s]\n' $c "$(echo "$(date +%s.%N)-$s" | bc)"; }
say clone; run git clone -q "$repository" fnkit
cd fnkit
say S1 demo first; sh_ 'make demo 2>&1 | tail -30'
say S2 demo second; sh_ 'make demo 2>&1 | tail -3'
say S3 install in clean venv; sh_ 'python3 -m venv ~/venv && ~/venv/bin/pip install -q . 2>&1 | tail -2; du -sm ~/venv | cut -f1'
say S4 extras; sh_ "~/venv/bin/pip install -q '.[queues]' 2>&1 | tail -2; du -sm ~/venv | cut -f1"
say S4b uv tool install; sh_ '.venv/bin/uv tool install --quiet . 2>&1 | tail -2; ls ~/.local/bin'
export PATH=~/.local/bin:$PATH
cd ~/projects
say S5; run fnkit --version; sh_ 'fnkit --help | head -30'
for t in http api cron queue; do
  say new $t; sh_ "fnkit new $t --template $t | tail -6"
  cd $t; say test $t; sh_ 'fnkit test 2>&1 | tail -3'; say invoke $t; sh_ "fnkit scan; f=\$(fnkit scan --json | python3 -c 'import json,sys; print(json.load(sys.stdin)[\"functions\"][0][\"name\"])'); fnkit invoke \$f"
  say deploy $t; sh_ "fnkit deploy --local 2>&1 | tee $deploy_output"
  say try $t; sed -n '/^Try:/,$p' $deploy_output | sed 1d | grep -v -- --follow | grep . | while read -r line; do sh_ "$line"; done
  sh_ 'fnkit status --local'; cd ..
done
say S-edit stdlib; cd http; f=$(ls *.py | head -1); for i in 1 2 3; do echo "# $i" >> $f; sh_ 'fnkit deploy --local 2>&1 | tail -1'; done; cd ..
say S-edit boto3 pydantic nats; fnkit new heavy --template api >/dev/null; cd heavy; sed -i 's/^dependencies = \[\]/dependencies = ["boto3", "pydantic>=2", "nats-py"]/' pyproject.toml; sh_ 'fnkit deploy --local 2>&1 | tail -3'; for i in 1 2 3; do echo "# $i" >> handlers.py; sh_ 'fnkit deploy --local 2>&1 | tail -1'; done
say S-nochange; run fnkit plan --local; run fnkit status --local; run fnkit scan; sh_ 'fnkit invoke $(fnkit scan --json | python3 -c "import json,sys; print(json.load(sys.stdin)[\"functions\"][0][\"name\"])") | head -3'
cd ..
say S-twelve; fnkit new many --template http >/dev/null; cd many; python3 - <<'P'
open("main.py","w").write("from fnkit import function\nimport requests\n"+"".join(f'\n\n@function(memory=128, name="endpoint-{i}")\ndef endpoint_{i}(event, context):\n    return "v1 {i}"\n' for i in range(1,13)))
P
sed -i 's/^dependencies = \[\]/dependencies = ["requests"]/' pyproject.toml; sh_ 'fnkit deploy --local 2>&1'; sed -i 's/v1/v2/' main.py; sh_ 'fnkit deploy --local 2>&1'; sh_ 'fnkit destroy --local --yes 2>&1 | tail -2'
cd ..
say B1 logs; mkdir b; cd b; cat > main.py <<'P'
from fnkit import function, cron
@function(memory=128)
def books(event, context):
    print("looking for", event["path"])
    return {}["b"] if event["path"] == "/boom" else "ok"
@function(memory=128, privacy="private")
def admin(event, context):
    return "secret place"
@cron("0 8 * * *", args={"who": "Ada"})
def probe(event, context):
    print("probing", event["body"])
    return "fine"
@function(memory=128)
def hang(event, context):
    while True: pass
@function(memory=128)
def hog(event, context):
    return str(len("x" * 400_000_000))
@function(memory=128)
def leave(event, context):
    import os; os._exit(3)
P
sh_ 'fnkit init'; sh_ 'fnkit deploy --local 2>&1'; sh_ 'fnkit invoke books --remote --local --path /boom'; sh_ 'fnkit logs books --local'; sh_ 'fnkit cron run probe --local'; sh_ 'fnkit logs boom --local'
say B8; sh_ 'fnkit invoke admin --remote --local'; sh_ 'fnkit token create admin --local --json | head -3'
say E remote; sh_ 'fnkit invoke leave --remote --local'; sh_ 'fnkit invoke hog --remote --local'; sh_ 'fnkit invoke hog'
say B6; sed -i 's/^def admin/def administration/' main.py; sh_ 'fnkit plan --local'; sh_ 'fnkit deploy --local'; 
say B7; printf '\n\n@cronn("0 * * * *")\ndef typo(event, context): ...\n' >> main.py; sed -i 's/function, cron$/function/' main.py; sh_ 'fnkit scan'; sed -i '/cronn/,$d' main.py; sed -i 's/import function$/import function, cron/' main.py; printf 'import os\nKEY = os.environ["NOT_SET"]\n' >> main.py; sh_ 'fnkit deploy --local --yes'; sh_ 'fnkit status --local'; sed -i '/NOT_SET/d' main.py
say errors; for bad in '@cron("61 * * * *")' '@cron("@hourly")' '@cron("0 0 31 2 *")' '@function(memory=8192)' '@function(memroy=128)' '@function(timeout="2h")' '@function(memory="512MB")'; do cp main.py keep.py.bak; printf '\n\n%s\ndef bad(event, context):\n    return 1\n' "$bad" >> main.py; sh_ 'fnkit scan 2>&1 | tail -12'; mv keep.py.bak main.py; done
cp main.py keep.py.bak; echo 'import httpx' >> main.py; sh_ 'fnkit scan 2>&1 | tail -9'; cp keep.py.bak main.py; printf '\ndef f(:\n' >> main.py; sh_ 'fnkit scan 2>&1 | tail -9'; mv keep.py.bak main.py
printf '[project]\nname="b"\nversion="1"\nrequires-python=">=3.11"\ndependencies=["pydantic>=99"]\n' > pyproject.toml; sh_ 'fnkit lock 2>&1 | tail -9'; sed -i 's/"pydantic>=99"/"pydantic<2.6","pydantic-core==2.30"/' pyproject.toml; sh_ 'fnkit lock 2>&1 | tail -12'; rm pyproject.toml
cd ..
say A5; mkdir empty; cd empty; echo 'name = "e"' > fnkit.toml; sh_ 'fnkit plan --local'; sh_ 'fnkit deploy --local'; sh_ 'fnkit invoke x'; cd ..
say A misc; cd b; sh_ 'fnkit -C . status --local | head -3'; sh_ 'FNKIT_LOCAL=1 fnkit cron list'; sh_ 'fnkit cron history probe --local'; sh_ 'fnkit cron history probe --local --failed'; sh_ 'fnkit cron next "*/5 * * * *"'; sh_ 'fnkit explain bad-schedule'; sh_ 'fnkit completion bash | head -3'; sh_ 'fnkit doctor'; sh_ 'fnkit open books --local --json'; sh_ 'fnkit openapi | head -5'; sh_ 'fnkit event http | head -5'; sh_ 'fnkit bundle'; sh_ 'fnkit secret list'; sh_ 'fnkit domain list --local'; sh_ 'fnkit deploy --local --stage preview --yes 2>&1 | tail -6'
cd ..
say end; sh_ 'cd b && fnkit destroy --local --yes'; run fnkit platform stop
