"""SPDY/3.1 as `kubectl port-forward` speaks it inside WebSocket messages, without I/O.

`frames` turns frames into bytes and back; `server` and `client` are the two sides of a tunnel: what to
send, and what was meant by what arrived. A tunnel carries many connections to a Pod's ports; each has two
streams, one for data and one for error text. The bytes of the frames are one sequence: where a message
ends means nothing.

There is no flow control: the API server's side neither sends nor heeds WINDOW_UPDATE.

Source: the SPDY/3.1 draft, and what Kubernetes does with it (github.com/moby/spdystream,
k8s.io/kubelet/pkg/cri/streaming/portforward).
"""
