#!/bin/sh
# The demo: real text, real archives, real runs. `just demo` calls it; results stay in demo/outbox.
set -eu
prism=target/debug/prism
python=.venv/bin/python

mkdir -p demo/inbox
if [ ! -f demo/corpus/MANIFEST.json ]; then
    $prism data lock examples/corpus/austen.jsonl --output demo/corpus \
        --name austen --license "public domain"
elif [ ! -f demo/corpus/PROOF.json ]; then
    $prism data verify demo/corpus
fi
$python scripts/pack.py --all examples demo/inbox

# bwrap where it works; elsewhere `none`, asked for by name, and never score-eligible.
if bwrap --unshare-all --ro-bind / / true 2>/dev/null; then
    isolation=bwrap
else
    isolation=none
fi
echo "isolation: $isolation"
PRISM_SANDBOX_ISOLATION=$isolation $prism run --config examples/demo.yaml

cat <<END

Where to look:
  demo/outbox/leaderboard.json, weights.json        the standing
  demo/outbox/<submission_id>/status.json           what happened to a submission, and why
  demo/outbox/<submission_id>/review.json           what the static review found
  demo/outbox/<submission_id>/run.log               what its training printed
  demo/outbox/<submission_id>/prism_run_manifest.v2.json   everything that was measured
Drop a zip of your own into demo/inbox and run ./prism-dev demo again; \`./prism-dev demo-fresh\` measures all again.
END
