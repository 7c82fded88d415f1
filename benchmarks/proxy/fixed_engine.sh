#!/bin/sh
# An engine that costs next to nothing: nginx with one fixed answer, on the port and with the name
# that it is given.
while [ $# -gt 0 ]; do
  case $1 in --port) port=$2 ;; --alias) name=$2 ;; esac
  shift
done
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cat > "$dir/nginx.conf" <<CONF
daemon off; master_process off; pid $dir/pid; error_log /dev/null;
events { worker_connections 4096; }
http { access_log off; keepalive_requests 1000000; client_body_temp_path $dir/b;
  proxy_temp_path $dir/p; fastcgi_temp_path $dir/f; uwsgi_temp_path $dir/u; scgi_temp_path $dir/s;
  server { listen 127.0.0.1:$port;
    location / { default_type application/json; return 200 '{"id":"chatcmpl-1","object":"chat.completion","model":"$name","choices":[{"index":0,"finish_reason":"stop","message":{"role":"assistant","content":"Spring in Paris is mild, with showers and long evenings; bring a light coat."}}],"usage":{"prompt_tokens":33,"completion_tokens":18,"total_tokens":51}}'; } } }
CONF
nginx -c "$dir/nginx.conf"
