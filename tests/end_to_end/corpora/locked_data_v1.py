"""The contest's locked corpus, `prism_locked_data.v1`, by its own rules.

    python3 locked_data_v1.py write SOURCE.jsonl ROOT     the fields of the format, and no others
    python3 locked_data_v1.py verify ROOT PIN             prints {"problems": [...], "documents": {split: [[id, text], ...]}}
"""

import hashlib
import json
import sys
from pathlib import Path

BUCKETS = {"train": [0, 949], "val": [950, 974], "test": [975, 999]}
PARTITION = {"hash": "sha256", "key": "doc.id", "modulus": 1000, "buckets": BUCKETS}
PIN = "87f09149ef4734204d70ed1d046ddc9ca3f2b8f9"
DOCS_PER_SHARD = 1024


def split_of(doc_id):
    bucket = int(hashlib.sha256(doc_id.encode("utf-8")).hexdigest(), 16) % 1000
    return next(name for name, (low, high) in BUCKETS.items() if low <= bucket <= high)


def fingerprint(split, shards):
    canonical = {"split": split, "shard_sha256": [shard["sha256"] for shard in shards]}
    text = json.dumps(canonical, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def write(source, root):
    splits = {name: {} for name in BUCKETS}
    for line in source.read_text(encoding="utf-8").splitlines():
        record = json.loads(line)
        splits[split_of(record["id"])].setdefault(record["id"], record["text"])
    entries = {}
    for split, documents in splits.items():
        (root / split).mkdir(parents=True)
        ids = sorted(documents)
        shards = []
        for start in range(0, len(ids), DOCS_PER_SHARD):
            chunk = ids[start : start + DOCS_PER_SHARD]
            lines = [
                json.dumps({"id": i, "text": documents[i]}, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
                for i in chunk
            ]
            data = "".join(line + "\n" for line in lines).encode("utf-8")
            path = f"{split}/{split}-{len(shards):05d}.jsonl"
            (root / path).write_bytes(data)
            shard = {"path": path, "sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
            # The contest counts gpt2 tokens; any number is one to a reader.
            shards.append(shard | {"doc_count": len(chunk), "token_count": len(data) // 4})
        entries[split] = {
            "doc_count": len(ids),
            "token_count": sum(shard["token_count"] for shard in shards),
            "byte_count": sum(shard["bytes"] for shard in shards),
            "fingerprint": fingerprint(split, shards),
            "shards": shards,
        }
    manifest = {
        "schema_version": "prism_locked_data.v1",
        "dataset": {"name": "HuggingFaceFW/fineweb-edu", "pin_sha": PIN, "license": "odc-by", "source_doc_limit": 200000},
        "partition": PARTITION,
        "tokenizer": {"id": "gpt2", "fingerprint": hashlib.sha256(b"tiktoken:gpt2:n_vocab=50257").hexdigest()},
        "splits": entries,
    }
    text = json.dumps(manifest, sort_keys=True, indent=2) + "\n"
    (root / "MANIFEST.json").write_text(text, encoding="utf-8")


def verify(root, pin):
    manifest = json.loads((root / "MANIFEST.json").read_text(encoding="utf-8"))
    problems = []
    if manifest["schema_version"] != "prism_locked_data.v1":
        problems.append("schema_version")
    if manifest["dataset"]["pin_sha"] != pin:
        problems.append("pin_sha")
    if manifest["partition"] != PARTITION:
        problems.append("partition")
    documents = {}
    for split in BUCKETS:
        entry = manifest["splits"][split]
        listed = []
        for shard in entry["shards"]:
            path, sha256 = str(shard["path"]), str(shard["sha256"])
            size, _, _ = int(shard["bytes"]), int(shard["doc_count"]), int(shard["token_count"])
            listed.append(path)
            data = (root / path).read_bytes()
            if hashlib.sha256(data).hexdigest() != sha256 or len(data) != size:
                problems.append(path)
        found = sorted(f"{split}/{path.name}" for path in (root / split).glob(f"{split}-*.jsonl"))
        if found != listed:
            problems.append(f"{split}: files {found}")
        if entry["fingerprint"] != fingerprint(split, entry["shards"]):
            problems.append(f"{split}: fingerprint")
        documents[split] = []
        for path in found:
            for line in (root / path).read_text(encoding="utf-8").split("\n"):
                if line:
                    record = json.loads(line)
                    canonical = json.dumps(record, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
                    if canonical != line or split_of(record["id"]) != split:
                        problems.append(f"{path}: {record['id']}")
                    documents[split].append([record["id"], record["text"]])
        ids = [doc_id for doc_id, _ in documents[split]]
        if ids != sorted(set(ids)):
            problems.append(f"{split}: order")
    print(json.dumps({"problems": problems, "documents": documents}))


if __name__ == "__main__":
    if sys.argv[1] == "write":
        write(Path(sys.argv[2]), Path(sys.argv[3]))
    else:
        verify(Path(sys.argv[2]), sys.argv[3])
