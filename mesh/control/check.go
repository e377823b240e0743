package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"istio.io/istio/pkg/config/analysis/analyzers"
	"istio.io/istio/pkg/config/analysis/diag"
	"istio.io/istio/pkg/config/analysis/local"
	"istio.io/istio/pkg/config/resource"
	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	kubeyaml "k8s.io/apimachinery/pkg/util/yaml"
)

// Known findings that are accepted: a rate limit needs an EnvoyFilter, and neither Istio's injector nor the certificate is
// among the files.
var known = []string{
	"EnvoyFilter exposes internal implementation details",
	"does not match any Istio injection webhook selectors",
	`Referenced credentialName not found: "gateway-certificate"`,
}

// check fails unless Istio admits the files without warnings and its analyzers report nothing.
func check(paths []string) error {
	all, found, err := read(paths)
	if err != nil {
		return err
	}
	if len(all) == 0 {
		return fmt.Errorf("nothing of Istio's is in %s", strings.Join(paths, ", "))
	}
	sources, err := sources(paths)
	if err != nil {
		return err
	}
	analyzer := local.NewIstiodAnalyzer(analyzers.AllCombined(), resource.Namespace(namespace), "istio-system", nil)
	if err := analyzer.AddTestReaderKubeSource(sources); err != nil {
		return err
	}
	stop := make(chan struct{})
	defer close(stop)
	result, err := analyzer.Analyze(stop)
	if err != nil {
		return err
	}
	for _, message := range result.Messages {
		if message.Type.Level().IsWorseThanOrEqualTo(diag.Warning) {
			found = append(found, message.String())
		}
	}
	found = slices.DeleteFunc(found, func(text string) bool {
		return slices.ContainsFunc(known, func(part string) bool { return strings.Contains(text, part) })
	})
	if len(found) > 0 {
		return fmt.Errorf("Istio warns:\n%s", strings.Join(found, "\n"))
	}
	fmt.Printf("%d of Istio's resources are valid, and %d analyzers find nothing\n", len(all), len(result.ExecutedAnalyzers))
	return nil
}

// sources are the files, and a pod with a sidecar for each of their Deployments, because selectors select pods.
func sources(paths []string) ([]local.ReaderSource, error) {
	var all []local.ReaderSource
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		all = append(all, local.ReaderSource{Name: path, Reader: bytes.NewReader(text)})
		decoder := kubeyaml.NewYAMLOrJSONDecoder(bytes.NewReader(text), 64*1024)
		for {
			deployment := apps.Deployment{}
			if err := decoder.Decode(&deployment); err == io.EOF {
				break
			} else if err != nil || deployment.Kind != "Deployment" {
				continue
			}
			pod := core.Pod{ObjectMeta: deployment.Spec.Template.ObjectMeta, Spec: deployment.Spec.Template.Spec}
			pod.Labels["sidecar.istio.io/inject"] = "true"
			pod.Spec.Containers = append(pod.Spec.Containers, core.Container{Name: "istio-proxy", Image: "auto"})
			pod.APIVersion, pod.Kind, pod.Name = "v1", "Pod", deployment.Name
			text, err := json.Marshal(pod)
			if err != nil {
				return nil, err
			}
			all = append(all, local.ReaderSource{Name: path + " " + pod.Name, Reader: bytes.NewReader(text)})
		}
	}
	return all, nil
}
