"""vLLM's flags, for where its help can't be read: a line each, with the kind.

Written by `packaging/generate_vllm_flags.py`.
"""

FLAGS = """
switch --aggregate-engine-logging
integer --api-server-count -asc
text --config
switch --disable-log-stats
switch --enable-log-requests --no-enable-log-requests
switch --fail-on-environ-validation --no-fail-on-environ-validation
choice --gdn-prefill-backend
switch --grpc
switch --headless
choice --kda-decode-backend
choice --kda-prefill-backend
integer --shutdown-timeout
switch --allow-credentials --no-allow-credentials
text --allowed-headers
text --allowed-methods
text --allowed-origins
choice --anthropic-disabled-thinking-effort
list --api-key
text --chat-template
choice --chat-template-content-format
text --cohere-format
switch --cohere-is-reasoning-model --no-cohere-is-reasoning-model
integer --data-parallel-supervisor-port
text --default-chat-template-kwargs
text --disable-access-log-for-endpoints
switch --disable-fastapi-docs --no-disable-fastapi-docs
switch --disable-uvicorn-access-log --no-disable-uvicorn-access-log
integer --dp-supervisor-probe-failure-threshold
number --dp-supervisor-probe-interval-s
number --dp-supervisor-probe-timeout-s
switch --enable-auto-tool-choice --no-enable-auto-tool-choice
switch --enable-flash-late-interaction --no-enable-flash-late-interaction
switch --enable-force-include-usage --no-enable-force-include-usage
switch --enable-log-deltas --no-enable-log-deltas
switch --enable-log-outputs --no-enable-log-outputs
switch --enable-offline-docs --no-enable-offline-docs
switch --enable-per-request-metrics --no-enable-per-request-metrics
switch --enable-prompt-tokens-details --no-enable-prompt-tokens-details
switch --enable-request-id-headers --no-enable-request-id-headers
switch --enable-scale-out --no-enable-scale-out
switch --enable-server-load-tracking --no-enable-server-load-tracking
switch --enable-ssl-refresh --no-enable-ssl-refresh
switch --enable-tokenizer-info-endpoint --no-enable-tokenizer-info-endpoint
switch --exclude-tools-when-tool-choice-none --no-exclude-tools-when-tool-choice-none
choice --fingerprint-mode
text --fingerprint-value
text --grpc-port
integer --h11-max-header-count
integer --h11-max-incomplete-event-size
text --host
switch --log-error-stack --no-log-error-stack
list --lora-modules
integer --max-log-len
text --middleware
integer --port
text --response-role
switch --return-tokens-as-token-ids --no-return-tokens-as-token-ids
path --root-path
integer --sse-keep-alive-interval
text --ssl-ca-certs
integer --ssl-cert-reqs
path --ssl-certfile
text --ssl-ciphers
path --ssl-keyfile
switch --tokens-only --no-tokens-only
text --tool-call-parser
text --tool-parser-plugin
text --tool-server
choice --tool-strict-level
switch --trust-request-chat-template --no-trust-request-chat-template
switch --trust-request-mm-kwargs --no-trust-request-mm-kwargs
text --uds
choice --uvicorn-log-level
switch --allow-deprecated-quantization --no-allow-deprecated-quantization
path --allowed-local-media-path
list --allowed-media-domains
text --code-revision
text --config-format
choice --convert
switch --disable-cascade-attn --no-disable-cascade-attn
switch --disable-sliding-window --no-disable-sliding-window
choice --dtype
switch --enable-cumem-allocator --no-enable-cumem-allocator
switch --enable-nccl-comm-suspend --no-enable-nccl-comm-suspend
switch --enable-prompt-embeds --no-enable-prompt-embeds
switch --enable-return-routed-experts --no-enable-return-routed-experts
switch --enable-sleep-mode --no-enable-sleep-mode
switch --enable-trace-replay --no-enable-trace-replay
switch --enforce-eager --no-enforce-eager
text --generation-config
path --hf-config-path
text --hf-overrides
text --hf-token
text --io-processor-plugin
list --logits-processors
choice --logprobs-mode
integer --max-logprobs
text --max-model-len
text --model
text --model-class-overrides
text --model-impl
text --override-generation-config
text --pooler-config
text --quantization -q
text --quantization-config
integer --renderer-num-workers
switch --return-sampling-mask --no-return-sampling-mask
text --revision
choice --runner
integer --seed
list --served-model-name
switch --skip-tokenizer-init --no-skip-tokenizer-init
switch --sleep-mode-offload-cudagraph --no-sleep-mode-offload-cudagraph
list --sleep-preserve-parameter-names
text --tokenizer
text --tokenizer-mode
text --tokenizer-revision
switch --trust-remote-code --no-trust-remote-code
switch --use-fp64-gumbel --no-use-fp64-gumbel
path --download-dir
list --ignore-patterns
text --load-format
text --model-loader-extra-config
text --pt-load-map-location
choice --safetensors-load-strategy
integer --safetensors-prefetch-block-size
integer --safetensors-prefetch-num-threads
switch --use-tqdm-on-load --no-use-tqdm-on-load
text --attention-backend
switch --enable-mamba-cache-stochastic-rounding --no-enable-mamba-cache-stochastic-rounding
text --mamba-backend
integer --mamba-cache-philox-rounds
choice --mamba-ssu-algorithm
text --reasoning-parser
text --reasoning-parser-plugin
choice --all2all-backend
text --cp-kv-cache-interleave-size
text --cpu-distributed-timeout-seconds
text --data-parallel-address -dpa
text --data-parallel-backend -dpb
switch --data-parallel-external-lb --no-data-parallel-external-lb -dpe
switch --data-parallel-hybrid-lb --no-data-parallel-hybrid-lb -dph
switch --data-parallel-multi-port-external-lb -dpm
integer --data-parallel-rank -dpn
text --data-parallel-rpc-port -dpp
integer --data-parallel-size -dp
integer --data-parallel-size-local -dpl
text --data-parallel-start-rank -dpr
integer --dbo-decode-token-threshold
integer --dbo-prefill-token-threshold
choice --dcp-comm-backend
integer --dcp-kv-cache-interleave-size
switch --dcp-q-replicate --no-dcp-q-replicate
integer --decode-context-parallel-size -dcp
text --device-ids
switch --disable-custom-all-reduce --no-disable-custom-all-reduce
switch --disable-nccl-for-dp-synchronization --no-disable-nccl-for-dp-synchronization
text --distributed-executor-backend
text --distributed-timeout-seconds
integer --dp-sync-interval
text --elastic-ep-max-dp-size
switch --enable-batch-sharded-sampling --no-enable-batch-sharded-sampling
switch --enable-dbo --no-enable-dbo
switch --enable-elastic-ep --no-enable-elastic-ep
switch --enable-ep-weight-filter --no-enable-ep-weight-filter
switch --enable-eplb --no-enable-eplb
switch --enable-expert-parallel --no-enable-expert-parallel -ep
switch --enable-fault-tolerance --no-enable-fault-tolerance
switch --enable-hc-sp --no-enable-hc-sp
switch --enable-shm-tensor-arena --no-enable-shm-tensor-arena
text --eplb-config
choice --expert-placement-strategy
text --fault-tolerance-config
text --master-addr
integer --master-port
text --max-parallel-loading-workers
integer --nnodes -n
integer --node-rank -r
switch --numa-bind --no-numa-bind
list --numa-bind-cpus
list --numa-bind-nodes
integer --pipeline-parallel-size -pp
integer --prefill-context-parallel-size -pcp
switch --ray-workers-use-nsight --no-ray-workers-use-nsight
integer --tensor-parallel-size -tp
integer --ubatch-size
text --worker-cls
text --worker-extension-cls
integer --block-size
switch --enable-mamba-shared-prefix-checkpoint --no-enable-mamba-shared-prefix-checkpoint
switch --enable-prefix-caching --no-enable-prefix-caching
number --gpu-memory-utilization --device-memory-utilization
choice --kv-cache-dtype
list --kv-cache-dtype-skip-layers
text --kv-cache-memory-bytes
choice --kv-offloading-backend
text --kv-offloading-size
switch --kv-sharing-fast-prefill --no-kv-sharing-fast-prefill
text --mamba-block-size
choice --mamba-cache-dtype
choice --mamba-cache-mode
choice --mamba-ssm-cache-dtype
integer --num-gpu-blocks-override
integer --prefix-cache-retention-interval
choice --prefix-caching-hash-algo
text --prefix-match-unit
integer --replayssm-buffer-len
switch --swa-bounded-replay --no-swa-bounded-replay
switch --use-replayssm --no-use-replayssm
integer --cpu-offload-gb
list --cpu-offload-params
choice --offload-backend
integer --offload-group-size
integer --offload-num-in-group
list --offload-params
integer --offload-prefetch-step
switch --enable-mm-embeds --no-enable-mm-embeds
switch --interleave-mm-strings --no-interleave-mm-strings
switch --language-model-only --no-language-model-only
text --limit-mm-per-prompt
text --media-io-kwargs
switch --mm-device-do-normalize --no-mm-device-do-normalize
text --mm-encoder-attn-backend
choice --mm-encoder-attn-dtype
path --mm-encoder-fp8-scale-path
number --mm-encoder-fp8-scale-save-margin
path --mm-encoder-fp8-scale-save-path
switch --mm-encoder-only --no-mm-encoder-only
choice --mm-encoder-tp-mode
choice --mm-hasher-algorithm
integer --mm-ipc-gpu-memory-gb
integer --mm-processor-cache-gb
choice --mm-processor-cache-type
choice --mm-processor-device
text --mm-processor-kwargs
integer --mm-shm-cache-max-object-size-mb
choice --mm-tensor-ipc
switch --skip-mm-profiling --no-skip-mm-profiling
choice --video-pruning-method
text --video-pruning-rate
text --default-mm-loras
switch --enable-lora --no-enable-lora
switch --enable-mixed-moe-lora-format --no-enable-mixed-moe-lora-format
switch --enable-moe-shared-loras --no-enable-moe-shared-loras
switch --enable-tower-connector-lora --no-enable-tower-connector-lora
switch --fully-sharded-loras --no-fully-sharded-loras
choice --lora-dtype
list --lora-target-modules
integer --max-cpu-loras
text --max-lora-cls-labels
choice --max-lora-rank
integer --max-loras
switch --specialize-active-lora --no-specialize-active-lora
path --log-config-file
choice --log-level
text --logging-config
list --collect-detailed-traces
switch --cudagraph-metrics --no-cudagraph-metrics
text --custom-histogram-buckets
switch --enable-layerwise-nvtx-tracing --no-enable-layerwise-nvtx-tracing
switch --enable-logging-iteration-details --no-enable-logging-iteration-details
switch --enable-mfu-metrics --no-enable-mfu-metrics
choice --jit-monitor-mode
switch --jit-monitor-verbose --no-jit-monitor-verbose
switch --kv-cache-metrics --no-kv-cache-metrics
number --kv-cache-metrics-sample
text --otlp-traces-endpoint
choice --per-request-spec-decode-metrics
text --show-hidden-metrics-for-version
switch --async-scheduling --no-async-scheduling
switch --disable-chunked-mm-input --no-disable-chunked-mm-input
switch --disable-hybrid-kv-cache-manager --no-disable-hybrid-kv-cache-manager
switch --enable-chunked-prefill --no-enable-chunked-prefill
integer --long-prefill-token-threshold
switch --long-prefill-token-threshold-adaptive --no-long-prefill-token-threshold-adaptive
integer --max-num-active-seqs
text --max-num-batched-tokens
text --max-num-queued-reqs
text --max-num-queued-tokens
text --max-num-scheduled-tokens
integer --max-num-seqs
integer --prefill-schedule-interval
text --scheduler-cls
switch --scheduler-reserve-full-isl --no-scheduler-reserve-full-isl
choice --scheduling-policy
integer --stream-interval
number --watermark
list --cudagraph-capture-sizes
text --max-cudagraph-capture-size
switch --enable-flashinfer-autotune --no-enable-flashinfer-autotune
text --ir-op-priority
choice --linear-backend
choice --moe-backend
choice --sparse-indexer-topk-backend
text --additional-config
text --attention-config -ac
text --aux-output-config
text --compilation-config -cc
text --diffusion-config -dc
text --ec-manager-config
text --ec-transfer-config
text --engram-config
text --kernel-config
text --kv-events-config
text --kv-transfer-config
integer --optimization-level
choice --performance-mode
path --profiler-config
text --reasoning-config
choice --spec-method
text --spec-model
integer --spec-tokens
text --speculative-config -sc
text --structured-outputs-config
text --watermark-config
text --weight-transfer-config
"""
