{{/* Values that contradict each other, each refused in words. Included by the Deployment. */}}
{{- define "cardproof.checks" -}}
{{- $config := .Values.config }}
{{- $production := eq (default "" $config.mode) "production" }}
{{- $routes := default dict $config.routes }}
{{- $sandboxes := list "sandbox" }}
{{- range $name, $provider := $config.providers }}
{{- if eq (default "" ($provider).kind) "sandbox" }}{{ $sandboxes = append $sandboxes $name }}{{ end }}
{{- if and (eq $name "sandbox") (ne (default "sandbox" ($provider).kind) "sandbox") }}{{ $sandboxes = without $sandboxes "sandbox" }}{{ end }}
{{- end }}
{{- $verify := ternary $routes.verify (list "sandbox") (hasKey $routes "verify") }}
{{- range $route, $names := dict "verify" $verify "verify_two" $routes.verify_two "verify_three" $routes.verify_three "verify_four" $routes.verify_four "card_info" $routes.card_info }}
{{- range $name := $names }}
{{- if and $production (has $name $sandboxes) }}
{{- fail (printf "config.mode is \"production\" and config.routes.%s names the sandbox provider %q: it answers for test cards only. Name real providers, or set config.mode to \"development\"" $route $name) }}
{{- end }}
{{- if and (not (has $name (list "sandbox" "bin"))) (not (hasKey (default dict $config.providers) $name)) }}
{{- fail (printf "config.routes.%s names %q, which is no key of config.providers" $route $name) }}
{{- end }}
{{- end }}
{{- end }}
{{- $max := include "cardproof.maxReplicas" . | int }}
{{- $min := include "cardproof.minReplicas" . | int }}
{{- if and .Values.autoscaling.enabled (gt $min $max) }}
{{- fail (printf "autoscaling.minReplicas (%d) is above autoscaling.maxReplicas (%d)" $min $max) }}
{{- end }}
{{- if and .Values.podDisruptionBudget.enabled (lt $min 2) }}
{{- fail "podDisruptionBudget.enabled with fewer than two replicas would block every drain of a node: raise replicaCount (or autoscaling.minReplicas) to 2, or switch the budget off" }}
{{- end }}
{{- with .Values.podDisruptionBudget }}
{{- if and .enabled (not (kindIs "invalid" .minAvailable)) (not (kindIs "invalid" .maxUnavailable)) }}
{{- fail "podDisruptionBudget takes minAvailable or maxUnavailable, not both: set the other to null" }}
{{- end }}
{{- if and .enabled (kindIs "invalid" .minAvailable) (kindIs "invalid" .maxUnavailable) }}
{{- fail "podDisruptionBudget needs one of minAvailable and maxUnavailable" }}
{{- end }}
{{- end }}
{{- if and (hasKey $config.server "replicas") (lt (int $config.server.replicas) $max) }}
{{- fail (printf "config.server.replicas (%d) is below the %d replicas that may run: limits without Redis would be exceeded. Leave it out, or count the replicas of every cluster that shares the vendor accounts" (int $config.server.replicas) $max) }}
{{- end }}
{{- range $key := list "listen" "admin_listen" }}
{{- $address := index $config.server $key }}
{{- if regexMatch "^(127\\.|localhost:|\\[::1\\])" $address }}
{{- fail (printf "config.server.%s is a loopback address: nobody outside the pod, the kubelet included, could reach it" $key) }}
{{- end }}
{{- if lt (regexFind "[0-9]+$" $address | int) 1024 }}
{{- fail (printf "config.server.%s needs a port of 1024 or above: the pod has no right to a lower one, and port 0 is not fixed" $key) }}
{{- end }}
{{- end }}
{{- if eq (include "cardproof.grpcPort" .) (include "cardproof.adminPort" .) }}
{{- fail "config.server.listen and config.server.admin_listen need different ports" }}
{{- end }}
{{- if and .Values.certificate.enabled .Values.tls.existingSecret }}
{{- fail "certificate.enabled and tls.existingSecret both bring the server's certificate: choose one" }}
{{- end }}
{{- if and .Values.certificate.enabled (not .Values.certificate.issuerRef.name) }}
{{- fail "certificate.enabled needs certificate.issuerRef.name" }}
{{- end }}
{{- $auth := default "none" ($config.auth).mode }}
{{- $tls := include "cardproof.tlsOn" . }}
{{- if and (not $tls) (not $config.server.insecure) (ne $auth "mtls") }}
{{- fail "the gRPC listener would be plaintext: set certificate.enabled or tls.existingSecret, or, where a mesh protects it, config.server.insecure to true" }}
{{- end }}
{{- if and $tls (eq $auth "none") (not $config.server.insecure) }}
{{- fail "config.auth.mode is \"none\" and the service is reachable from other pods: set it to \"token\" or \"mtls\", or, where a mesh decides who may call, config.server.insecure to true" }}
{{- end }}
{{- if and (eq $auth "mtls") (not .Values.tls.clientCa) (not (($config.server).tls).client_ca_file) }}
{{- fail "config.auth.mode is \"mtls\" and no authority of client certificates is known: set tls.clientCa to true (ca.crt of the TLS Secret) or config.server.tls.client_ca_file" }}
{{- end }}
{{- if and (ne $auth "none") (not $config.clients) }}
{{- fail (printf "config.auth.mode is %q and config.clients is empty: nobody could call" $auth) }}
{{- end }}
{{- if and ($config.cache).redis (not ($config.cache).key) }}
{{- fail "config.cache.redis needs config.cache.key, the same key for all replicas" }}
{{- end }}
{{- if and .Values.grpcRoute.enabled (not .Values.grpcRoute.parentRefs) }}
{{- fail "grpcRoute.enabled needs grpcRoute.parentRefs: the Gateway that the route belongs to" }}
{{- end }}
{{- range $path := regexFindAll "/run/secrets/cardproof/[^/\"]+/" (toJson $config) -1 }}
{{- $name := base $path }}
{{- if not (index $.Values.secrets $name) }}
{{- fail (printf "config names a file in /run/secrets/cardproof/%s, and %q is no key of secrets: nothing would be mounted there" $name $name) }}
{{- end }}
{{- end }}
{{- range $name, $entry := .Values.secrets }}
{{- if and (not (kindIs "invalid" $entry)) (eq (empty $entry.existingSecret) (empty $entry.externalSecret)) }}
{{- fail (printf "secrets.%s needs exactly one of existingSecret and externalSecret" $name) }}
{{- end }}
{{- end }}
{{- end }}
