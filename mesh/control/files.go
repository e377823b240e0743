package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"

	"istio.io/istio/pilot/pkg/config/kube/crd"
	"istio.io/istio/pkg/config"
	"istio.io/istio/pkg/config/schema/collections"
	"istio.io/istio/pkg/config/schema/resource"
	kubeyaml "k8s.io/apimachinery/pkg/util/yaml"
)

// The namespace in which the files are read: they name none.
const namespace = "nadeuri"

// read parses Istio's objects in the files and validates them as Istio's admission does; unknown fields are errors too.
// Kubernetes' own objects are ignored.
func read(paths []string) ([]config.Config, []string, error) {
	var all []config.Config
	var warnings []string
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, nil, err
		}
		decoder := kubeyaml.NewYAMLOrJSONDecoder(bytes.NewReader(text), 64*1024)
		for {
			object := crd.IstioKind{}
			if err := decoder.Decode(&object); err == io.EOF {
				break
			} else if err != nil {
				return nil, nil, fmt.Errorf("%s: %w", path, err)
			}
			one, warning, err := parse(&object)
			if err != nil {
				return nil, nil, fmt.Errorf("%s: %s %s: %w", path, object.Kind, object.Name, err)
			}
			if warning != nil {
				warnings = append(warnings, fmt.Sprintf("%s: %s %s: %v", path, object.Kind, object.Name, warning))
			}
			if one != nil {
				all = replace(all, *one)
			}
		}
	}
	return all, warnings, nil
}

func parse(object *crd.IstioKind) (*config.Config, error, error) {
	kind := object.GroupVersionKind()
	schema, known := collections.Pilot.FindByGroupVersionAliasesKind(resource.FromKubernetesGVK(&kind))
	if !known {
		return nil, nil, nil
	}
	one, err := crd.ConvertObjectInternal(schema, object, "cluster.local", strict)
	if err != nil {
		return nil, nil, err
	}
	one.Namespace = namespace
	warning, err := schema.ValidateConfig(*one)
	return one, warning, err
}

func strict(schema resource.Schema, text string) (config.Spec, error) {
	spec, err := schema.NewInstance()
	if err != nil {
		return nil, err
	}
	if !json.Valid([]byte(text)) {
		return nil, fmt.Errorf("it is no JSON")
	}
	return spec, config.ApplyJSONStrict(spec, text)
}

// replace lets an object of a later file replace the same object of an earlier one.
func replace(all []config.Config, one config.Config) []config.Config {
	for i, other := range all {
		if other.GroupVersionKind == one.GroupVersionKind && other.Name == one.Name {
			all[i] = one
			return all
		}
	}
	return append(all, one)
}
