"""What an option does, and what its value may be, where its type does not say it.

The facts are those of llama.cpp's documentation:
https://github.com/ggml-org/llama.cpp/blob/master/tools/server/README.md
"""

from __future__ import annotations

from collections.abc import Mapping

_CACHE_TYPES = "{f32,f16,bf16,q8_0,q4_0,q4_1,iq4_nl,q5_0,q5_1}"
# The placeholder of a value, by the first long flag.
VALUES: Mapping[str, str] = {
    "--cpu-strict": "<0|1>", "--prio": "<-1...3>", "--prio-batch": "<-1...3>",
    "--poll": "<0...100>", "--poll-batch": "<0...100>",
    "--spec-draft-cpu-strict": "<0|1>", "--spec-draft-prio": "<-1...3>",
    "--spec-draft-poll": "<0...100>",
    "--flash-attn": "[on|off|auto]", "--fit": "[on|off]", "--reasoning": "[on|off|auto]",
    "--cache-type-k": _CACHE_TYPES, "--cache-type-v": _CACHE_TYPES,
    "--spec-draft-type-k": _CACHE_TYPES, "--spec-draft-type-v": _CACHE_TYPES,
    "--rope-scaling": "{none,linear,yarn}", "--pooling": "{none,mean,cls,last,rank}",
    "--numa": "{distribute,isolate,numactl}", "--attention": "{causal,non-causal}",
    "--load-mode": "{auto,none,mmap,mlock,mmap+mlock,dio}",
    "--split-mode": "{none,layer,row,tensor}",
    "--reasoning-format": "{auto,none,deepseek,deepseek-legacy}",
    "--tensor-split": "N0,N1,N2,...",
    "--override-tensor": "PATTERN=TYPE,...", "--spec-draft-override-tensor": "PATTERN=TYPE,...",
    "--spec-draft-device": "DEV1,DEV2,...", "--chat-template-kwargs": "JSON",
    "--alias": "STRING", "--tags": "STRING", "--reverse-prompt": "PROMPT",
    "--samplers": "SAMPLERS", "--seed": "SEED", "--ui-config": "JSON",
    "--model": "FNAME", "--spec-draft-model": "FNAME", "--hf-file": "FILE", "--mmproj": "FILE",
    "--lookup-cache-static": "FNAME", "--lookup-cache-dynamic": "FNAME", "--path": "PATH",
    "--slot-save-path": "PATH", "--media-path": "PATH", "--log-prompts-dir": "PATH",
    "--models-dir": "PATH", "--models-preset": "PATH", "--mcp-servers-config": "PATH",
    "--ssl-key-file": "FNAME", "--ssl-cert-file": "FNAME",
    "--video-ffmpeg-bin-dir": "PATH",
}  # fmt: skip
# The default, where the field's own value says less; "" for none.
DEFAULTS: Mapping[str, str] = {
    "--gpu-layers": "auto", "--spec-draft-ngl": "auto", "--seed": "-1", "--tensor-split": "",
    "--fit": "on", "--cpu-strict": "0", "--spec-draft-cpu-strict": "0",
    "--flash-attn": "auto", "--reasoning": "auto", "--spec-type": "none", "--rope-scaling": "",
    "--pooling": "", "--attention": "", "--numa": "", "--alias": "", "--tags": "",
    "--chat-template-kwargs": "", "--reverse-prompt": "",
}  # fmt: skip

TEXTS: Mapping[str, str] = {
    # the model, and where it comes from
    "--model": "GGUF file of the model",
    "--port": "where it listens; llamactl chooses a free port if none is given",
    "--model-url": "URL to download the model from",
    "--hf-repo": "model of a Hugging Face repository, as user/model or user/model:QUANT",
    "--hf-file": "file of that repository, in place of the one that the quantization selects",
    "--hf-token": "access token for Hugging Face; read from HF_TOKEN if it is not given",
    "--docker-repo": "model of a Docker Hub repository",
    "--mmproj": "GGUF file of the projector, for images and sound",
    "--mmproj-url": "URL to download the projector from",
    "--mmproj-auto": "use the projector that comes with the model of a repository",
    "--mmproj-offload": "run the projector on the GPU",
    "--lora": "LoRA adapter to apply; several are separated by commas",
    "--lora-scaled": "LoRA adapter and its weight, as FILE:WEIGHT; several are separated by commas",
    "--lora-init-without-apply": "load LoRA adapters without applying them; they are applied later "
    "by POST /lora-adapters",
    "--offline": "use only files that were downloaded before, and no network",
    "--check-tensors": "look for invalid values in the model's tensors while it loads",
    # memory
    "--ctx-size": "tokens that the context holds, for all slots together; 0: as many as the model "
    "was trained with",
    "--parallel": "slots, which are requests that can be processed at once; -1: chosen by the "
    "engine",
    "--kv-unified": "let all slots share one cache in place of equal parts of it",
    "--gpu-layers": "layers of the model to keep on the GPU: a number, 'auto' or 'all'",
    "--split-mode": "how several GPUs share the model: none uses one of them, layer divides the "
    "layers, row and tensor divide each layer",
    "--tensor-split": "share of the model for each GPU, such as 3,1",
    "--main-gpu": "the GPU to use where the model is not split, or for intermediate results",
    "--fit": "reduce what is not set, such as the context, until the model fits into memory",
    "--fit-ctx": "the smallest context to which --fit may reduce it",
    "--cache-type-k": "data type of the keys in the cache; smaller types save memory",
    "--cache-type-v": "data type of the values in the cache; smaller types save memory",
    "--kv-offload": "keep the cache on the GPU",
    "--op-offload": "let the GPU do operations on tensors that are in the main memory",
    "--override-tensor": "keep the tensors whose names match a pattern in a buffer of this type",
    "--load-mode": "how the file is read: mmap maps it into memory, mlock keeps it there, dio "
    "reads it without the page cache",
    "--mmap": "map the file into memory (see --load-mode)",
    "--mlock": "keep the model in RAM, so that it is never swapped out (see --load-mode)",
    "--direct-io": "read the file without the page cache (see --load-mode)",
    "--repack": "rearrange the weights for this processor",
    "--no-host": "bypass the host buffer, so that other buffers can be used",
    "--numa": "where threads and memory are placed on a machine with several NUMA nodes",
    "--cache-ram": "most MiB of RAM for prompts that were processed before; -1: no limit, 0: none",
    "--swa-full": "keep the full cache of layers with sliding-window attention",
    # speed
    "--threads": "CPU threads that generate tokens; -1: chosen by the engine",
    "--threads-batch": "CPU threads that process prompts; -1: as many as --threads",
    "--threads-http": "threads that handle HTTP requests; -1: chosen by the engine",
    "--batch-size": "most tokens of a prompt that are submitted at once",
    "--ubatch-size": "most tokens that are computed at once; more need more memory",
    "--flash-attn": "use Flash Attention, which is faster and needs less memory",
    "--cont-batching": "process requests that arrive later together with those under way",
    "--cpu-strict": "bind each thread to a processor of its own",
    "--prio": "priority of the threads: -1 low, 0 normal, 1 medium, 2 high, 3 real time",
    "--poll": "how much threads poll while they wait for work; 0: not at all",
    "--warmup": "compute an empty prompt once the model is loaded",
    "--cache-prompt": "keep the part of a prompt that the last one began with, too",
    "--cache-reuse": "least tokens of a later part of the last prompt to reuse; 0: no reuse",
    "--context-shift": "drop the oldest tokens when the context is full, and continue",
    "--slot-prompt-similarity": "how much of a prompt must be in a slot's cache for that slot to "
    "be chosen; 0.0: not looked at (valid range 0.0 to 1.0)",
    "--ctx-checkpoints": "checkpoints of the context that each slot keeps",
    "--rope-scaling": "how the context is extended beyond what the model was trained with",
    "--rope-scale": "factor by which the context is extended",
    "--rope-freq-base": "base frequency of RoPE; 0.0: the model's own",
    "--rope-freq-scale": "factor of RoPE's frequency; the context is extended by its inverse",
    "--yarn-orig-ctx": "context that the model was trained with, for YaRN; 0: the model's own",
    # sampling, where a request says nothing
    "--predict": "most tokens to generate; -1: no limit",
    "--keep": "tokens of the first prompt that a context shift keeps; -1: all of them",
    "--temperature": "randomness of the output; 0.0: always the most likely token",
    "--top-k": "choose among this many of the most likely tokens; 0: all of them",
    "--top-p": "choose among the most likely tokens that have this probability together; 1.0: all "
    "of them (valid range 0.0 to 1.0)",
    "--min-p": "leave out tokens that are less likely than this share of the most likely one; 0.0: "
    "none (valid range 0.0 to 1.0)",
    "--typical": "locally typical sampling; 1.0: off (valid range 0.0 to 1.0)",
    "--adaptive-target": "choose tokens near this probability; negative: off",
    "--dry-multiplier": "strength of the DRY penalty, which is for repeated sequences; 0.0: none",
    "--dynatemp-range": "range of the temperature, by how sure the model is; 0.0: always the same",
    "--xtc-probability": "how often the most likely tokens are left out; 0.0: never (valid "
    "range 0.0 to 1.0)",
    "--seed": "seed of the random numbers; -1: another one each time",
    "--repeat-last-n": "last tokens that the penalty for repetition looks at; 0: none, -1: all of "
    "the context",
    "--repeat-penalty": "penalty for tokens that were there before; 1.0: none",
    "--presence-penalty": "penalty for tokens that were there at all; 0.0: none",
    "--frequency-penalty": "penalty for tokens by how often they were there; 0.0: none",
    "--mirostat": "Mirostat sampling: 0 off, 1 Mirostat, 2 Mirostat 2.0",
    "--samplers": "samplers in their order, separated by semicolons",
    "--grammar": "grammar that the output must follow, in GBNF",
    "--grammar-file": "file with such a grammar",
    "--json-schema": "JSON schema that the output must follow",
    "--json-schema-file": "file with such a schema",
    "--ignore-eos": "continue after the token that ends an answer",
    "--reverse-prompt": "end the answer at this text",
    # what it serves
    "--alias": "names of the model in the API, separated by commas",
    "--jinja": "use the model's chat template as it is, with tools",
    "--chat-template": "chat template, or the name of one, in place of the model's own",
    "--chat-template-file": "file with a chat template in place of the model's own",
    "--chat-template-kwargs": "variables for the chat template, as a JSON object",
    "--reasoning": "let the model think before it answers",
    "--reasoning-format": "where thoughts are put: none leaves them in the answer, deepseek moves "
    "them to reasoning_content, deepseek-legacy does both",
    "--reasoning-budget": "most tokens of thinking; -1: no limit, 0: none",
    "--embedding": "compute embeddings only, with a model that is made for it",
    "--rerank": "rank documents, with a model that is made for it",
    "--pooling": "how the tokens' embeddings become one of the text",
    "--timeout": "seconds without data after which a connection is closed",
    "--sleep-idle-seconds": "seconds without requests after which the model is unloaded; -1: never",
    "--metrics": "serve numbers for Prometheus at /metrics",
    "--props": "let POST /props change settings of the engine",
    "--slots": "show the slots at /slots",
    "--slot-save-path": "folder in which the caches of slots are saved",
    "--media-path": "folder whose files requests can name by file:// URLs",
    "--ui": "serve the engine's own page",
    "--verbosity": "how much is logged: 1 errors, 2 warnings, 3 information, 4 traces, 5 all",
    "--verbose": "log everything",
    "--log-disable": "log nothing",
    # speculative decoding
    "--spec-draft-model": "GGUF file of a small model that drafts tokens for this one",
    "--spec-draft-hf": "draft model of a Hugging Face repository",
    "--spec-draft-ngl": "layers of the draft model to keep on the GPU: a number, 'auto' or 'all'",
    "--spec-draft-n-max": "most tokens to draft at once",
    "--spec-draft-n-min": "least tokens to draft at once",
    "--spec-draft-threads": "CPU threads of the draft model; -1: as many as --threads",
    "--spec-draft-type-k": "data type of the keys in the draft model's cache",
    "--spec-draft-type-v": "data type of the values in the draft model's cache",
    "--spec-draft-p-min": "least probability of a drafted token (valid range 0.0 to 1.0)",
    "--spec-type": "comma-separated list of the ways to draft tokens",
}  # fmt: skip
