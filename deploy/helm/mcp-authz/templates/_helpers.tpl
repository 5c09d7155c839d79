{{- define "mcp-authz.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "mcp-authz.selector" -}}
app.kubernetes.io/name: {{ default .Chart.Name .Values.nameOverride }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "mcp-authz.labels" -}}
{{ include "mcp-authz.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- define "mcp-authz.account" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "mcp-authz.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- /* Before the release exists the migration needs what it uses, so it has its own of everything. */ -}}
{{- define "mcp-authz.migrationAccount" -}}
{{- include "mcp-authz.account" . -}}
{{- if .Values.serviceAccount.create -}}-migrate{{- end -}}
{{- end -}}

{{- define "mcp-authz.hook" -}}
helm.sh/hook: pre-install,pre-upgrade
helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
{{- end -}}

{{- define "mcp-authz.image" -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) -}}
{{- end -}}
{{- end -}}

{{- /* Whether a token of Kubernetes is needed: "yes" or nothing. */ -}}
{{- define "mcp-authz.token" -}}
{{- if .Values.serviceAccount.mountToken -}}
yes
{{- else if .Values.settings.vault -}}
{{- if eq (default "" .Values.settings.vault.auth) "kubernetes" -}}
yes
{{- end -}}
{{- end -}}
{{- end -}}

{{- /* A setting as the environment says it. Helm reads numbers as floats, which print as 7.776e+06. */ -}}
{{- define "mcp-authz.setting" -}}
{{- if kindIs "slice" . -}}
[{{ join "," . }}]
{{- else if kindIs "float64" . -}}
{{- if eq (floor .) . -}}{{ int64 . }}{{- else -}}{{ . }}{{- end -}}
{{- else -}}
{{ . }}
{{- end -}}
{{- end -}}

{{- define "mcp-authz.environment" -}}
{{- $issuer := required "settings.server.issuer: say what clients see, https://..." .Values.settings.server.issuer -}}
{{- $url := required "settings.database.url: say where PostgreSQL is, postgresql://USER@HOST/DATABASE" .Values.settings.database.url -}}
{{- range $section, $keys := .Values.settings }}
{{- range $key, $value := $keys }}
{{- if not (kindIs "invalid" $value) }}
AUTHZ__{{ upper $section }}__{{ upper $key }}: {{ include "mcp-authz.setting" $value | quote }}
{{- end }}
{{- end }}
{{- end }}
{{- if .Values.config }}
AUTHZ_CONFIG: /etc/authz/authz.toml
{{- end }}
{{- end -}}

{{- define "mcp-authz.configMap" -}}
data:
  {{- include "mcp-authz.environment" . | nindent 2 }}
{{- end -}}

{{- define "mcp-authz.fileMap" -}}
data:
  authz.toml: {{ .Values.config | quote }}
{{- end -}}

{{- define "mcp-authz.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
fsGroupChangePolicy: OnRootMismatch
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "mcp-authz.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}

{{- define "mcp-authz.mounts" -}}
- name: tmp
  mountPath: /tmp
- name: home
  mountPath: /var/lib/authz
- name: secrets
  mountPath: /run/secrets/authz
  readOnly: true
{{- range .Values.secrets.further }}
- name: secrets-{{ . }}
  mountPath: /run/secrets/{{ . }}
  readOnly: true
{{- end }}
{{- if .Values.config }}
- name: config
  mountPath: /etc/authz
  readOnly: true
{{- end }}
{{- if include "mcp-authz.token" . }}
- name: token
  mountPath: /var/run/secrets/kubernetes.io/serviceaccount
  readOnly: true
{{- end }}
{{- end -}}

{{- define "mcp-authz.volumes" -}}
- name: tmp
  emptyDir:
    sizeLimit: 64Mi
- name: home
  emptyDir:
    sizeLimit: 16Mi
- name: secrets
  secret:
    secretName: {{ required "secrets.existing: name the Secret with the key-encryption key and the database's password" .Values.secrets.existing }}
    defaultMode: 0440
{{- range .Values.secrets.further }}
- name: secrets-{{ . }}
  secret:
    secretName: {{ . }}
    defaultMode: 0440
{{- end }}
{{- if include "mcp-authz.token" . }}
- name: token
  projected:
    defaultMode: 0440
    sources:
      - serviceAccountToken:
          path: token
          expirationSeconds: {{ int64 .Values.serviceAccount.tokenSeconds }}
          {{- if .Values.serviceAccount.tokenAudience }}
          audience: {{ .Values.serviceAccount.tokenAudience | quote }}
          {{- end }}
{{- end }}
{{- end -}}

{{- define "mcp-authz.placement" -}}
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- end -}}

{{- /* A list without an entry would mean everybody: no rule is made of it. */ -}}
{{- define "mcp-authz.egress" -}}
{{- if not .Values.networkPolicy.database.to }}
{{- $none := required "networkPolicy.database.to: say where PostgreSQL is (or networkPolicy.enabled: false)" "" }}
{{- else }}
- to:
    {{- toYaml .Values.networkPolicy.database.to | nindent 4 }}
  ports:
    - {protocol: TCP, port: {{ int64 .Values.networkPolicy.database.port }}}
{{- end }}
{{- with .Values.networkPolicy.dns }}
{{- if .to }}
- to:
    {{- toYaml .to | nindent 4 }}
  ports:
    - {protocol: UDP, port: {{ int64 .port }}}
    - {protocol: TCP, port: {{ int64 .port }}}
{{- end }}
{{- end }}
{{- with .Values.networkPolicy.identityProviders }}
{{- if .to }}
- to:
    {{- toYaml .to | nindent 4 }}
  ports:
    - {protocol: TCP, port: {{ int64 .port }}}
{{- end }}
{{- end }}
{{- with .Values.networkPolicy.further }}
{{ toYaml . }}
{{- end }}
{{- end -}}
