package main

import (
	"flag"
	"fmt"
	"net"
	"os"
	"sort"
	"strconv"
	"strings"

	meshconfig "istio.io/api/mesh/v1alpha1"
	networking "istio.io/api/networking/v1alpha3"
	security "istio.io/api/security/v1beta1"
	"istio.io/istio/pilot/test/xds"
	"istio.io/istio/pkg/config"
	"istio.io/istio/pkg/config/mesh"
	"istio.io/istio/pkg/config/schema/gvk"
)

// The issuer of development tokens.
const ownIssuer = "nadeuri"

// addresses are those of the replicas of each context.
type addresses map[string][]string

func (a addresses) String() string { return "" }

func (a addresses) Set(text string) error {
	name, address, isPair := strings.Cut(text, "=")
	if !isPair {
		return fmt.Errorf("%q must be NAME=ADDRESS", text)
	}
	a[name] = append(a[name], address)
	return nil
}

func serve(arguments []string, stop <-chan os.Signal) error {
	flags := flag.NewFlagSet("serve", flag.ContinueOnError)
	ads := flags.String("ads", "", "where Envoy asks")
	gateway := flags.String("gateway", "", "the address on which the gateway listens")
	jwks := flags.String("jwks", "", "the key of development tokens, accepted in place of the issuer's")
	contexts := addresses{}
	flags.Var(contexts, "context", "where a replica of a context is")
	if err := flags.Parse(arguments); err != nil {
		return err
	}
	all, _, err := read(flags.Args())
	if err != nil {
		return err
	}
	if all, err = adapt(all, *gateway, *jwks); err != nil {
		return err
	}
	services, err := services(contexts)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", *ads)
	if err != nil {
		return err
	}
	failures := newFailures()
	defer failures.cleanUp()
	xds.NewFakeDiscoveryServer(failures, xds.FakeOptions{
		Configs:         append(all, services...),
		MeshConfig:      meshConfig(),
		ListenerBuilder: func() (net.Listener, error) { return listener, nil },
	})
	fmt.Println("ready")
	select {
	case <-stop:
		return nil
	case err := <-failures.failed:
		return err
	}
}

// meshConfig is the default without metrics: only Istio's own build of Envoy has their filter.
func meshConfig() *meshconfig.MeshConfig {
	own := mesh.DefaultMeshConfig()
	own.DefaultProviders = &meshconfig.MeshConfig_DefaultProviders{}
	own.EnablePrometheusMerge = nil
	own.AccessLogFile = ""
	return own
}

// adapt replaces what needs a cluster: the gateway listens on loopback without TLS, the replicas have no sidecar that
// terminates mutual TLS, and tokens are those of `nadeuri token`. Everything else stays as in the files.
func adapt(all []config.Config, gateway, jwks string) ([]config.Config, error) {
	host, port, err := split(gateway)
	if err != nil {
		return nil, err
	}
	kept := all[:0]
	for _, one := range all {
		switch spec := one.Spec.(type) {
		case *networking.Gateway:
			spec.Servers = []*networking.Server{{
				Bind:  host,
				Hosts: []string{"*"},
				Port:  &networking.Port{Number: port, Name: "grpc", Protocol: "GRPC"},
			}}
		case *networking.DestinationRule:
			if spec.TrafficPolicy == nil {
				spec.TrafficPolicy = &networking.TrafficPolicy{}
			}
			spec.TrafficPolicy.Tls = &networking.ClientTLSSettings{Mode: networking.ClientTLSSettings_DISABLE}
		case *security.RequestAuthentication:
			keys, err := os.ReadFile(jwks)
			if err != nil {
				return nil, err
			}
			for _, rule := range spec.JwtRules {
				rule.Issuer, rule.JwksUri, rule.Jwks = ownIssuer, "", string(keys)
			}
		}
		kept = append(kept, one)
	}
	return kept, nil
}

// services stand in for the Services of the contexts; their replicas are on this machine and differ by port.
func services(contexts addresses) ([]config.Config, error) {
	var all []config.Config
	for name, replicas := range contexts {
		entry := &networking.ServiceEntry{
			Hosts:      []string{name + "." + namespace + ".svc.cluster.local"},
			Ports:      []*networking.ServicePort{{Number: 50051, Name: "grpc", Protocol: "GRPC"}},
			Location:   networking.ServiceEntry_MESH_INTERNAL,
			Resolution: networking.ServiceEntry_STATIC,
		}
		for _, replica := range replicas {
			host, port, err := split(replica)
			if err != nil {
				return nil, err
			}
			endpoint := &networking.WorkloadEntry{Address: host, Ports: map[string]uint32{"grpc": port}}
			entry.Endpoints = append(entry.Endpoints, endpoint)
		}
		meta := config.Meta{GroupVersionKind: gvk.ServiceEntry, Name: name, Namespace: namespace, Domain: "cluster.local"}
		all = append(all, config.Config{Meta: meta, Spec: entry})
	}
	sort.Slice(all, func(i, j int) bool { return all[i].Name < all[j].Name })
	return all, nil
}

func split(address string) (string, uint32, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return "", 0, err
	}
	number, err := strconv.ParseUint(port, 10, 16)
	return host, uint32(number), err
}
