"""llama-server's flags, for where its help can't be read: a line each, with the kind.

Written by `packaging/generate_llama_flags.py`.
"""

FLAGS = """
switch -h --help --usage
switch --version
switch -cl --cache-list
switch --completion-bash
integer -t --threads
integer -tb --threads-batch
text -C --cpu-mask
text -Cr --cpu-range
choice --cpu-strict
integer --prio
integer --poll
text -Cb --cpu-mask-batch
text -Crb --cpu-range-batch
choice --cpu-strict-batch
integer --prio-batch
choice --poll-batch
integer -c --ctx-size
integer -n --predict --n-predict
integer -b --batch-size
integer -ub --ubatch-size
integer --keep
switch --swa-full
choice:on,off,auto -fa --flash-attn
switch --perf --no-perf
switch -e --escape --no-escape
choice --rope-scaling
number --rope-scale
number --rope-freq-base
number --rope-freq-scale
integer --yarn-orig-ctx
number --yarn-ext-factor
number --yarn-attn-factor
number --yarn-beta-slow
number --yarn-beta-fast
switch -kvo --kv-offload -nkvo --no-kv-offload
switch --repack -nr --no-repack
switch --no-host
choice -ctk --cache-type-k
choice -ctv --cache-type-v
number -dt --defrag-thold
text --rpc
switch --mlock
switch --mmap --no-mmap
switch -dio --direct-io -ndio --no-direct-io
choice -lm --load-mode
choice --numa
list -dev --device
switch --list-devices
list -ot --override-tensor
switch -cmoe --cpu-moe
integer -ncmoe --n-cpu-moe
integer -ngl --gpu-layers --n-gpu-layers
choice -sm --split-mode
list -ts --tensor-split
integer -mg --main-gpu
switch:on,off -fit --fit
list -fitt --fit-target
integer -fitc --fit-ctx
switch --check-tensors
list --override-kv
switch --op-offload --no-op-offload
path --lora
list --lora-scaled
path --control-vector
list --control-vector-scaled
list 2 --control-vector-layer-range
path -m --model
text -mu --model-url
text -dr --docker-repo
text -hf -hfr --hf-repo
path -hff --hf-file
text -hft --hf-token
switch --log-disable
path --log-file
choice:on,off,auto --log-colors
switch -v --verbose --log-verbose
switch --offline
integer -lv --verbosity --log-verbosity
switch --log-prefix --no-log-prefix
switch --log-timestamps --no-log-timestamps
choice --spec-draft-type-k -ctkd --cache-type-k-draft
choice --spec-draft-type-v -ctvd --cache-type-v-draft
text --samplers
integer -s --seed
text --sampler-seq --sampling-seq
switch --ignore-eos
number --temp --temperature
integer --top-k
number --top-p
number --min-p
number --top-nsigma --top-n-sigma
number --xtc-probability
number --xtc-threshold
number --typical --typical-p
integer --repeat-last-n
number --repeat-penalty
number --presence-penalty
number --frequency-penalty
number --dry-multiplier
number --dry-base
integer --dry-allowed-length
integer --dry-penalty-last-n
text --dry-sequence-breaker
number --adaptive-target
number --adaptive-decay
number --dynatemp-range
number --dynatemp-exp
integer --mirostat
number --mirostat-lr
number --mirostat-ent
text -l --logit-bias
text --grammar
path --grammar-file
text -j --json-schema
path -jf --json-schema-file
switch -bs --backend-sampling
text --spec-draft-hf -hfd -hfrd --hf-repo-draft
integer --spec-draft-threads -td --threads-draft
integer --spec-draft-threads-batch -tbd --threads-batch-draft
text --spec-draft-cpu-mask -Cd --cpu-mask-draft
text --spec-draft-cpu-range -Crd --cpu-range-draft
choice --spec-draft-cpu-strict --cpu-strict-draft
integer --spec-draft-prio --prio-draft
choice --spec-draft-poll --poll-draft
text --spec-draft-cpu-mask-batch -Cbd --cpu-mask-batch-draft
choice --spec-draft-cpu-strict-batch --cpu-strict-batch-draft
integer --spec-draft-prio-batch --prio-batch-draft
choice --spec-draft-poll-batch --poll-batch-draft
list --spec-draft-override-tensor -otd --override-tensor-draft
switch --spec-draft-cpu-moe -cmoed --cpu-moe-draft
integer --spec-draft-n-cpu-moe --spec-draft-ncmoe -ncmoed --n-cpu-moe-draft
integer --spec-draft-n-max
integer --spec-draft-n-min
number --spec-draft-p-split --draft-p-split
number --spec-draft-p-min --draft-p-min
switch --spec-draft-backend-sampling --no-spec-draft-backend-sampling
list --spec-draft-device -devd --device-draft
integer --spec-draft-ngl -ngld --gpu-layers-draft --n-gpu-layers-draft
path --spec-draft-model -md --model-draft
list --spec-type
integer --spec-ngram-mod-n-min
integer --spec-ngram-mod-n-max
integer --spec-ngram-mod-n-match
integer --spec-ngram-simple-size-n
integer --spec-ngram-simple-size-m
integer --spec-ngram-simple-min-hits
integer --spec-ngram-map-k-size-n
integer --spec-ngram-map-k-size-m
integer --spec-ngram-map-k-min-hits
integer --spec-ngram-map-k4v-size-n
integer --spec-ngram-map-k4v-size-m
integer --spec-ngram-map-k4v-min-hits
path -lcs --lookup-cache-static
path -lcd --lookup-cache-dynamic
integer -ctxcp --ctx-checkpoints --swa-checkpoints
integer -cms --checkpoint-min-step
integer -cram --cache-ram
switch -kvu --kv-unified -no-kvu --no-kv-unified
switch --cache-idle-slots --no-cache-idle-slots
switch --context-shift --no-context-shift
text -r --reverse-prompt
switch -sp --special
switch --warmup --no-warmup
switch --spm-infill
choice --pooling
integer -np --parallel
switch -cb --cont-batching -nocb --no-cont-batching
path -mm --mmproj
text -mmu --mmproj-url
switch --mmproj-auto --no-mmproj --no-mmproj-auto
switch --mmproj-offload --no-mmproj-offload
integer --image-min-tokens
integer --image-max-tokens
integer --mtmd-batch-max-tokens
text -a --alias
text --tags
integer --embd-normalize
text --host
integer --port
switch --reuse-port
path --path
text --cors-origins
text --cors-methods
text --cors-headers
switch --cors-credentials --no-cors-credentials
text --api-prefix
text --ui-config --webui-config
path --ui-config-file --webui-config-file
switch --ui-mcp-proxy --webui-mcp-proxy --no-ui-mcp-proxy --no-webui-mcp-proxy
list --tools
text --tools-runtime
path --mcp-servers-config
text --mcp-servers-json
switch -ag --agent -no-ag --no-agent
switch --ui --webui --no-ui --no-webui
switch --embedding --embeddings
switch --rerank --reranking
text --api-key
path --api-key-file
path --ssl-key-file
path --ssl-cert-file
text --chat-template-kwargs
integer -to --timeout
integer --sse-ping-interval
integer --threads-http
switch --cache-prompt --no-cache-prompt
integer --cache-reuse
switch --metrics
switch --props
switch --slots --no-slots
path --slot-save-path
path --media-path
path --models-dir
path --models-preset
integer --models-max
switch --models-autoload --no-models-autoload
switch --jinja --no-jinja
choice --reasoning-format
choice:on,off,auto -rea --reasoning
text --reasoning-effort
integer --reasoning-budget
text --reasoning-budget-message
switch --reasoning-preserve --no-reasoning-preserve
text --chat-template
path --chat-template-file
switch --skip-chat-parsing --no-skip-chat-parsing
switch --prefill-assistant --no-prefill-assistant
number -sps --slot-prompt-similarity
switch --lora-init-without-apply
integer --sleep-idle-seconds
path --log-prompts-dir
switch --embd-gemma-default
switch --fim-qwen-1.5b-default
switch --fim-qwen-3b-default
switch --fim-qwen-7b-default
switch --fim-qwen-7b-spec
switch --fim-qwen-14b-spec
switch --fim-qwen-30b-default
switch --gpt-oss-20b-default
switch --gpt-oss-120b-default
switch --vision-gemma-4b-default
switch --vision-gemma-12b-default
switch --spec-default
"""
