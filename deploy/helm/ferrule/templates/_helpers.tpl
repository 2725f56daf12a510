{{- define "ferrule.labels" -}}
app.kubernetes.io/name: ferrule
app.kubernetes.io/part-of: ferrule
{{- end }}

{{- define "ferrule.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{- /* A runtime's own AppArmor profile and SELinux label forbid what is in BPF's file system and the node's folders. */ -}}
{{- define "ferrule.confinement" -}}
{{- if semverCompare ">=1.30-0" .Capabilities.KubeVersion.Version -}}
appArmorProfile: {type: Unconfined}
{{- end }}
{{- with .Values.seLinuxOptions }}
seLinuxOptions:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- /* The agent's configuration file: settings whose values are given. */ -}}
{{- define "ferrule.config" -}}
source = "kubernetes"
{{- with .Values.apiServer }}
api-server = {{ . | quote }}
{{- end }}
{{- with .Values.clusterCIDRs }}
cluster-cidrs = {{ . | toJson }}
{{- end }}
{{- with .Values.nodeCIDRs }}
node-cidrs = {{ . | toJson }}
{{- end }}
require-pod-object = {{ .Values.requirePodObject }}
routing = {{ .Values.routing | quote }}
vxlan-port = {{ .Values.vxlanPort | int }}
encapsulation = {{ .Values.encapsulation | quote }}
{{- if .Values.mtu }}
mtu = {{ .Values.mtu | int }}
{{- end }}
{{- with .Values.devices }}
devices = {{ . | toJson }}
{{- end }}
{{- with .Values.attach }}
attach = {{ . | quote }}
{{- end }}
own-node-egress = {{ .Values.ownNodeEgress | quote }}
mark = {{ .Values.mark | int }}
conntrack-entries = {{ .Values.conntrack.entries | int }}
conntrack-share = {{ .Values.conntrack.share | int }}
conntrack-tcp = {{ .Values.conntrack.tcp | int }}
conntrack-tcp-opening = {{ .Values.conntrack.tcpOpening | int }}
conntrack-tcp-closing = {{ .Values.conntrack.tcpClosing | int }}
conntrack-udp = {{ .Values.conntrack.udp | int }}
conntrack-udp-stream = {{ .Values.conntrack.udpStream | int }}
conntrack-other = {{ .Values.conntrack.other | int }}
services = {{ .Values.services | quote }}
kube-proxy = {{ .Values.kubeProxy | quote }}
cgroup-root = "/host/cgroup"
events-per-second = {{ .Values.eventsPerSecond | int }}
log-level = {{ .Values.logLevel | quote }}
listen = [{{ printf "127.0.0.1:%d" (.Values.probes.port | int) | quote }}{{ if .Values.metrics.enabled }}, {{ printf "[::]:%d" (.Values.metrics.port | int) | quote }}{{ end }}]
cni-bin-dir = "/host/cni/bin"
cni-conf-dir = "/host/cni/net.d"
state-dir = {{ .Values.stateDir | quote }}
socket = {{ printf "%s/agent.sock" .Values.runDir | quote }}
bpffs = {{ printf "%s/ferrule" .Values.bpffs | quote }}
host-local = "/host/cni/networks"
sysctl-root = "/host/proc/sys"
{{- end }}
