// Command control is Istio's own control plane on one machine: it checks the files of mesh/istio as istioctl does, or
// compiles them and configures an Envoy, as istiod does in a cluster. It needs no other part of Istio and no Kubernetes.
package main

import (
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"istio.io/istio/pkg/log"
)

const usage = `usage: control check FILE...
       control serve [--jwks FILE] --ads ADDRESS --gateway ADDRESS [--context NAME=ADDRESS]... FILE...

check validates and analyzes the files together. serve configures each Envoy that connects to the address of --ads as
the gateway; an object of a later file replaces the same object of an earlier one.`

func main() {
	// Istio's own logs would hide the findings.
	options := log.DefaultOptions()
	options.SetDefaultOutputLevel(log.OverrideScopeName, log.ErrorLevel)
	if err := log.Configure(options); err != nil {
		fmt.Fprintf(os.Stderr, "control: %v\n", err)
	}
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintf(os.Stderr, "control: %v\n", err)
		os.Exit(1)
	}
}

func run(arguments []string) error {
	if len(arguments) == 0 {
		return fmt.Errorf("%s", usage)
	}
	switch arguments[0] {
	case "check":
		return check(arguments[1:])
	case "serve":
		stop := make(chan os.Signal, 1)
		signal.Notify(stop, syscall.SIGINT, syscall.SIGTERM)
		return serve(arguments[1:], stop)
	default:
		return fmt.Errorf("%s", usage)
	}
}
