"""A Kubernetes cluster on one machine: etcd, Kubernetes' own programs, and nodes with containerd.

Each node has network, mount, process and host name namespaces and control groups of its own, so that it can be cut
off, killed and joined like a machine. Nothing is installed: etcd, containerd, runc and the network plugins are
Debian's, and Kubernetes is built from its Go module. It needs root.
"""
