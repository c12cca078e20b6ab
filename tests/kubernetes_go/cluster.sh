#!/usr/bin/env bash
# A Kubernetes of one node in a folder: cluster.sh build|start|stop FOLDER. See README.md.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
what=${1:?say build, start or stop}
folder=$(realpath -m "${2:?say the folder}")
version=$(sed -n 's#.*k8s.io/kubernetes \(v[0-9.]*\)$#\1#p' "$here/go.mod")
node=${TIDEMILL_CLUSTER_IP:-$(ip -4 route get 198.51.100.1 | sed -n 's/.* src \([0-9.]*\).*/\1/p')}
registry=${TIDEMILL_CLUSTER_REGISTRY:-127.0.0.1:5080}
pods=10.244.0.0/24
services=10.96.0.0/16
pause=tidemill.invalid/pause:1

build() {
	mkdir -p "$folder"
	cd "$here"
	local major minor package flags="-s -w"
	IFS=. read -r major minor _ <<<"${version#v}"
	for package in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
		flags+=" -X $package.gitVersion=$version -X $package.gitMajor=$major -X $package.gitMinor=$minor"
	done
	CGO_ENABLED=0 go build -p 2 -trimpath -ldflags "$flags" -o "$folder/kube" .
	CGO_ENABLED=0 go build -trimpath -ldflags "-s -w" -o "$folder/image/pause" ./pause
}

# keys: an authority, a certificate of the API server, and one of an administrator, as whom all of it acts.
keys() {
	[[ -e $folder/keys/done ]] && return
	mkdir -p "$folder/keys"
	cd "$folder/keys"
	openssl req -x509 -newkey rsa:2048 -nodes -days 3650 -subj /CN=authority -keyout ca.key -out ca.crt \
		-addext basicConstraints=critical,CA:true -addext keyUsage=critical,keyCertSign,cRLSign
	signed server /CN=kube-apiserver serverAuth \
		"subjectAltName=IP:127.0.0.1,IP:$node,IP:10.96.0.1,DNS:kubernetes.default.svc,DNS:kubernetes.default,DNS:localhost"
	signed admin /O=system:masters/CN=admin clientAuth subjectAltName=DNS:admin
	openssl genrsa -out accounts.key 2048
	touch done
}

signed() {
	openssl req -newkey rsa:2048 -nodes -subj "$2" -keyout "$1.key" -out "$1.csr"
	openssl x509 -req -in "$1.csr" -CA ca.crt -CAkey ca.key -CAcreateserial -days 3650 -out "$1.crt" -extfile <(
		printf '%s\n' "$4" "extendedKeyUsage=$3" keyUsage=critical,digitalSignature,keyEncipherment \
			authorityKeyIdentifier=keyid
	)
}

settings() {
	cd "$folder"
	mkdir -p cni logs
	cat >kubeconfig <<-END
		apiVersion: v1
		kind: Config
		clusters: [{name: tidemill, cluster: {server: "https://$node:6443", certificate-authority-data: $(base64 -w0 keys/ca.crt)}}]
		users: [{name: admin, user: {client-certificate-data: $(base64 -w0 keys/admin.crt), client-key-data: $(base64 -w0 keys/admin.key)}}]
		contexts: [{name: tidemill, context: {cluster: tidemill, user: admin}}]
		current-context: tidemill
	END
	mkdir -p bin
	printf '#!/bin/sh\nexec "%s" kubectl "$@"\n' "$folder/kube" >bin/kubectl
	chmod +x bin/kubectl
	cat >containerd.toml <<-END
		version = 2
		root = "$folder/containerd"
		state = "/run/tidemill-containerd"
		[grpc]
		address = "/run/tidemill-containerd/socket"
		[plugins."io.containerd.internal.v1.opt"]
		path = "$folder/containerd/opt"
		[plugins."io.containerd.grpc.v1.cri"]
		sandbox_image = "$pause"
		disable_apparmor = true
		restrict_oom_score_adj = true
		[plugins."io.containerd.grpc.v1.cri".cni]
		bin_dir = "${TIDEMILL_CLUSTER_CNI:-/usr/lib/cni}"
		conf_dir = "$folder/cni"
		[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
		runtime_type = "io.containerd.runc.v2"
		[plugins."io.containerd.grpc.v1.cri".registry.mirrors."$registry"]
		endpoint = ["http://$registry"]
	END
	cat >cni/10-bridge.conflist <<-END
		{"cniVersion": "0.4.0", "name": "tidemill", "plugins": [
		  {"type": "bridge", "bridge": "tidemill0", "isGateway": true, "ipMasq": true, "hairpinMode": true,
		   "ipam": {"type": "host-local", "dataDir": "/run/tidemill-cni", "ranges": [[{"subnet": "$pods"}]],
		            "routes": [{"dst": "0.0.0.0/0"}]}},
		  {"type": "portmap", "capabilities": {"portMappings": true}}]}
	END
	cat >kubelet.yaml <<-END
		apiVersion: kubelet.config.k8s.io/v1beta1
		kind: KubeletConfiguration
		authentication: {anonymous: {enabled: false}, webhook: {enabled: true}, x509: {clientCAFile: "$folder/keys/ca.crt"}}
		authorization: {mode: Webhook}
		address: "$node"
		cgroupDriver: cgroupfs
		failSwapOn: false
		containerRuntimeEndpoint: unix:///run/tidemill-containerd/socket
		resolvConf: /etc/resolv.conf
		clusterDomain: cluster.local
		evictionHard: {memory.available: 100Mi, nodefs.available: 1%, imagefs.available: 1%}
		imageGCHighThresholdPercent: 100
		enforceNodeAllocatable: []
		podLogsDir: "$folder/kubelet/logs"
		syncFrequency: 10s
		volumeStatsAggPeriod: 10m
	END
	cat >proxy.yaml <<-END
		apiVersion: kubeproxy.config.k8s.io/v1alpha1
		kind: KubeProxyConfiguration
		clientConnection: {kubeconfig: "$folder/kubeconfig"}
		clusterCIDR: $pods
		hostnameOverride: node
		conntrack: {maxPerCore: 0}
		bindAddress: "$node"
		healthzBindAddress: 127.0.0.1:10256
	END
	cat >registry.yaml <<-END
		version: 0.1
		log: {level: error}
		storage: {filesystem: {rootdirectory: "$folder/registry"}, delete: {enabled: true}}
		http: {addr: "$registry", secret: local}
	END
}

# begin NAME COMMAND...: in the background, in a group of its own, unless it is there.
begin() {
	local name=$1
	shift
	alive "$name" && return
	setsid "$@" >>"$folder/logs/$name.log" 2>&1 </dev/null &
	echo $! >"$folder/logs/$name.pid"
}

alive() { [[ -e $folder/logs/$1.pid ]] && kill -0 "$(<"$folder/logs/$1.pid")" 2>/dev/null; }

# until_it TRIES COMMAND...: wait, two tries a second.
until_it() {
	local tries=$1
	shift
	until "$@" >/dev/null 2>&1; do
		((tries-- > 0)) || { echo "in vain: $*; see $folder/logs" >&2 && exit 1; }
		sleep 0.5
	done
}

pause_image() {
	cd "$folder/image"
	tar --sort=name --owner=0 --group=0 --mtime=@0 -cf layer.tar pause
	local layer
	layer=$(sha256sum layer.tar | cut -d' ' -f1)
	echo '{"architecture":"amd64","os":"linux","config":{"Entrypoint":["/pause"]},"rootfs":{"type":"layers","diff_ids":["sha256:'"$layer"'"]}}' >config.json
	echo '[{"Config":"config.json","RepoTags":["'$pause'"],"Layers":["layer.tar"]}]' >manifest.json
	tar -cf - manifest.json config.json layer.tar |
		ctr --address /run/tidemill-containerd/socket --namespace k8s.io images import -
}

start() {
	[[ -x $folder/kube ]] || build
	mkdir -p "$folder/logs"
	keys 2>"$folder/logs/keys.log"
	settings
	local kube=$folder/kube keys=$folder/keys admin="--kubeconfig=$folder/kubeconfig"
	begin registry docker-registry serve "$folder/registry.yaml"
	begin containerd containerd --config "$folder/containerd.toml"
	begin etcd "$kube" etcd --data-dir "$folder/etcd" --listen-client-urls http://127.0.0.1:23790 --unsafe-no-fsync \
		--advertise-client-urls http://127.0.0.1:23790 --listen-peer-urls http://127.0.0.1:23800 --log-level warn
	begin kube-apiserver "$kube" kube-apiserver --etcd-servers http://127.0.0.1:23790 \
		--bind-address "$node" --advertise-address "$node" --service-cluster-ip-range $services \
		--client-ca-file "$keys/ca.crt" --tls-cert-file "$keys/server.crt" --tls-private-key-file "$keys/server.key" \
		--kubelet-client-certificate "$keys/admin.crt" --kubelet-client-key "$keys/admin.key" \
		--service-account-issuer https://kubernetes.default.svc --service-account-key-file "$keys/accounts.key" \
		--service-account-signing-key-file "$keys/accounts.key" --authorization-mode Node,RBAC \
		--allow-privileged --kubelet-preferred-address-types InternalIP
	export KUBECONFIG=$folder/kubeconfig
	until_it 240 "$kube" kubectl get --raw /readyz
	begin kube-controller-manager "$kube" kube-controller-manager "$admin" --bind-address 127.0.0.1 \
		--service-account-private-key-file "$keys/accounts.key" --root-ca-file "$keys/ca.crt" \
		--use-service-account-credentials --leader-elect=false --cluster-cidr $pods
	begin kube-scheduler "$kube" kube-scheduler "$admin" --bind-address 127.0.0.1 --leader-elect=false
	until_it 60 ctr --address /run/tidemill-containerd/socket version
	pause_image >/dev/null
	sysctl -qw net.ipv4.ip_forward=1 net.bridge.bridge-nf-call-iptables=1 || true
	begin kubelet "$kube" kubelet "$admin" --config "$folder/kubelet.yaml" --root-dir "$folder/kubelet" \
		--cert-dir "$folder/kubelet/pki" --hostname-override node --node-ip "$node"
	begin kube-proxy "$kube" kube-proxy --config "$folder/proxy.yaml"
	until_it 240 ready
	echo "export KUBECONFIG=$KUBECONFIG PATH=$folder/bin:\$PATH"
}

ready() { "$folder/kube" kubectl wait --for=condition=Ready node/node --timeout=1s && "$folder/kube" kubectl get serviceaccount default; }

# stop: pods first, for nobody would end their containers.
stop() {
	local name
	if alive kube-apiserver && alive kubelet; then
		KUBECONFIG=$folder/kubeconfig timeout 60 "$folder/kube" kubectl delete pods --all --all-namespaces --grace-period=1 || true
	fi
	for name in kube-proxy kubelet kube-scheduler kube-controller-manager kube-apiserver etcd containerd registry; do
		if alive $name; then
			kill "$(<"$folder/logs/$name.pid")"
			while alive $name; do sleep 0.2; done
		fi
		rm -f "$folder/logs/$name.pid"
	done
}

"$what"
