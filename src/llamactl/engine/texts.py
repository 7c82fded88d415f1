"""What each option does, and its values where its type does not show them.

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
    "--model": "path to the model's GGUF file",
    "--port": "port to listen on; llamactl picks a free one by default",
    "--model-url": "URL to download the model from",
    "--hf-repo": "Hugging Face repository of the model: user/model or user/model:QUANT",
    "--hf-file": "file to use from the Hugging Face repository; overrides the quantization in "
    "--hf-repo",
    "--hf-token": "Hugging Face access token; HF_TOKEN is used by default",
    "--docker-repo": "Docker Hub repository of the model",
    "--mmproj": "path to the GGUF file of the multimodal projector, for images and audio",
    "--mmproj-url": "URL to download the multimodal projector from",
    "--mmproj-auto": "use the multimodal projector that comes with the model, if there is one",
    "--mmproj-offload": "run the multimodal projector on the GPU",
    "--lora": "path to a LoRA adapter; separate several with commas",
    "--lora-scaled": "path to a LoRA adapter and its scale, FILE:SCALE; separate several with "
    "commas",
    "--lora-init-without-apply": "load LoRA adapters without applying them; POST /lora-adapters "
    "applies them later",
    "--offline": "never use the network; use only files that are already cached",
    "--check-tensors": "check the model's tensors for invalid values while loading it",
    # memory
    "--ctx-size": "context size in tokens, shared by all slots; 0 uses the size that the model was "
    "trained with",
    "--parallel": "number of slots, which is how many requests run at once; -1 lets the engine "
    "choose",
    "--kv-unified": "share one KV cache between all slots instead of splitting it equally",
    "--gpu-layers": "number of layers to keep on the GPU, or 'auto' or 'all'",
    "--split-mode": "how to split the model across several GPUs: none uses a single GPU, layer "
    "puts each layer on one of them, row and tensor divide each layer",
    "--tensor-split": "proportion of the model for each GPU, such as 3,1",
    "--main-gpu": "GPU that holds the model if split-mode is none, or the intermediate results if "
    "it is row",
    "--fit": "adjust options that are not set, such as the context size, to make the model fit in "
    "memory",
    "--fit-ctx": "smallest context size that --fit may choose",
    "--cache-type-k": "data type of the keys in the KV cache; smaller types save memory",
    "--cache-type-v": "data type of the values in the KV cache; smaller types save memory",
    "--kv-offload": "keep the KV cache on the GPU",
    "--op-offload": "run operations on tensors in main memory on the GPU",
    "--override-tensor": "buffer type for the tensors whose names match a pattern",
    "--load-mode": "how to load the model: mmap maps the file, mlock keeps it in RAM, dio bypasses "
    "the page cache",
    "--mmap": "memory-map the model file (see --load-mode)",
    "--mlock": "keep the model in RAM and never swap it out (see --load-mode)",
    "--direct-io": "bypass the page cache when loading the model (see --load-mode)",
    "--repack": "repack the weights into a faster layout for this CPU",
    "--no-host": "bypass the host buffer so that extra buffers can be used",
    "--numa": "how to place threads and memory on NUMA systems",
    "--cache-ram": "maximum size of the prompt cache in RAM, in MiB; -1 for no limit, 0 to disable "
    "it",
    "--swa-full": "use a full-size cache for sliding-window attention",
    # speed
    "--threads": "number of CPU threads for generation; -1 lets the engine choose",
    "--threads-batch": "number of CPU threads for prompt processing; -1 uses as many as --threads",
    "--threads-http": "number of threads for HTTP requests; -1 lets the engine choose",
    "--batch-size": "maximum number of tokens per batch (the logical batch size)",
    "--ubatch-size": "maximum number of tokens computed at once (the physical batch size); larger "
    "values use more memory",
    "--flash-attn": "use Flash Attention, which is faster and saves memory",
    "--cont-batching": "add new requests to the running batch without waiting for it to finish",
    "--cpu-strict": "pin each thread to its own CPU",
    "--prio": "thread priority: -1 low, 0 normal, 1 medium, 2 high, 3 real-time",
    "--poll": "how much threads poll while waiting for work; 0 disables polling",
    "--warmup": "warm up with an empty run after loading the model",
    "--cache-prompt": "reuse the part of a prompt that the cache already holds",
    "--cache-reuse": "minimum number of tokens to reuse from the cache by shifting them; 0 "
    "disables it",
    "--context-shift": "drop the oldest tokens when the context is full, and keep generating",
    "--slot-prompt-similarity": "how closely a prompt must match a slot's prompt for that slot to "
    "be preferred; 0.0 ignores prompts (valid range 0.0 to 1.0)",
    "--ctx-checkpoints": "maximum number of context checkpoints per slot",
    "--rope-scaling": "RoPE scaling method, used to extend the context",
    "--rope-scale": "factor by which RoPE scaling extends the context",
    "--rope-freq-base": "RoPE base frequency; 0.0 uses the model's own",
    "--rope-freq-scale": "RoPE frequency scaling factor; 1/N extends the context by a factor of N",
    "--yarn-orig-ctx": "context size that the model was trained with, for YaRN; 0 takes it from "
    "the model",
    # sampling, where a request says nothing
    "--predict": "maximum number of tokens to generate; -1 for no limit",
    "--keep": "number of tokens of the initial prompt that a context shift keeps; -1 keeps all",
    "--temperature": "randomness of the output; 0.0 always picks the most likely token",
    "--top-k": "sample only from the K most likely tokens; 0 disables it",
    "--top-p": "sample only from the most likely tokens whose probabilities add up to P; 1.0 "
    "disables it (valid range 0.0 to 1.0)",
    "--min-p": "exclude tokens whose probability is below this fraction of the most likely one's; "
    "0.0 disables it (valid range 0.0 to 1.0)",
    "--typical": "locally typical sampling; 1.0 disables it (valid range 0.0 to 1.0)",
    "--adaptive-target": "prefer tokens near this probability; a negative value disables it",
    "--dry-multiplier": "strength of DRY sampling, which penalizes repeated sequences; 0.0 "
    "disables it",
    "--dynatemp-range": "how far the temperature may vary with the model's confidence; 0.0 keeps "
    "it fixed",
    "--xtc-probability": "probability that XTC sampling removes the most likely tokens; 0.0 "
    "disables it (valid range 0.0 to 1.0)",
    "--seed": "seed of the random number generator; -1 picks a random one",
    "--repeat-last-n": "number of recent tokens that the repetition penalties consider; 0 for "
    "none, -1 for the full context",
    "--repeat-penalty": "penalty for repeating recent tokens; 1.0 disables it",
    "--presence-penalty": "penalty for tokens that occurred recently, regardless of how often; 0.0 "
    "disables it",
    "--frequency-penalty": "penalty for recent tokens that grows with each occurrence; 0.0 "
    "disables it",
    "--mirostat": "Mirostat sampling: 0 disables it, 1 is Mirostat, 2 is Mirostat 2.0",
    "--samplers": "samplers to use, in this order, separated by semicolons",
    "--grammar": "GBNF grammar that constrains the output",
    "--grammar-file": "file with a GBNF grammar that constrains the output",
    "--json-schema": "JSON schema that constrains the output",
    "--json-schema-file": "file with a JSON schema that constrains the output",
    "--ignore-eos": "ignore the end-of-stream token and keep generating",
    "--reverse-prompt": "stop generating at this text",
    # what it serves
    "--alias": "names for the model in the API, separated by commas",
    "--jinja": "use the Jinja template engine for chat; tool calls need it",
    "--chat-template": "chat template, or the name of a built-in one, to use instead of the "
    "model's own",
    "--chat-template-file": "file with a chat template to use instead of the model's own",
    "--chat-template-kwargs": "additional parameters for the chat template, as a JSON object",
    "--reasoning": "let the model reason before it answers; auto depends on the chat template",
    "--reasoning-format": "where reasoning is returned: none leaves it in content, deepseek puts "
    "it in reasoning_content, deepseek-legacy does both",
    "--reasoning-budget": "maximum number of tokens for reasoning; -1 for no limit, 0 to end it "
    "immediately",
    "--embedding": "serve embeddings only; for embedding models",
    "--rerank": "enable the reranking endpoint; for reranking models",
    "--pooling": "how to combine token embeddings into one embedding",
    "--timeout": "read and write timeout in seconds",
    "--sleep-idle-seconds": "seconds of idleness after which the model is unloaded; -1 disables it",
    "--metrics": "serve Prometheus metrics at /metrics",
    "--props": "allow POST /props to change the engine's properties",
    "--slots": "show the state of each slot at /slots",
    "--slot-save-path": "folder where slot caches are saved",
    "--media-path": "folder from which requests can load media by file:// URL",
    "--ui": "serve the engine's web page",
    "--verbosity": "how much to log: 0 output only, 1 errors, 2 warnings, 3 info, 4 trace, 5 debug",
    "--verbose": "log everything",
    "--log-disable": "turn off logging",
    # speculative decoding
    "--spec-draft-model": "path to the GGUF file of the draft model",
    "--spec-draft-hf": "Hugging Face repository of the draft model",
    "--spec-draft-ngl": "number of the draft model's layers to keep on the GPU, or 'auto' or "
    "'all'",
    "--spec-draft-n-max": "maximum number of tokens to draft at a time",
    "--spec-draft-n-min": "minimum number of tokens to draft at a time",
    "--spec-draft-threads": "number of CPU threads for the draft model; -1 uses as many as "
    "--threads",
    "--spec-draft-type-k": "data type of the keys in the draft model's KV cache",
    "--spec-draft-type-v": "data type of the values in the draft model's KV cache",
    "--spec-draft-p-min": "minimum probability of a drafted token (valid range 0.0 to 1.0)",
    "--spec-type": "comma-separated list of the kinds of speculative decoding to use",
}  # fmt: skip
