// Reads one manifest of the Prometheus Operator as JSON on stdin, by the operator's own types. A field
// that they do not have, or that is there twice, is an error: an API server would refuse or drop it.
package main

import (
	"fmt"
	"io"
	"os"

	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	strict "sigs.k8s.io/json"
)

func main() {
	text, err := io.ReadAll(os.Stdin)
	if err == nil {
		err = decode(text)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func decode(text []byte) error {
	var about meta.TypeMeta
	if err := strict.UnmarshalCaseSensitivePreserveInts(text, &about); err != nil {
		return err
	}
	if about.APIVersion != "monitoring.coreos.com/v1" {
		return fmt.Errorf("%s is not monitoring.coreos.com/v1", about.APIVersion)
	}
	var into any
	switch about.Kind {
	case monitoring.ServiceMonitorsKind:
		into = &monitoring.ServiceMonitor{}
	case monitoring.PrometheusRuleKind:
		into = &monitoring.PrometheusRule{}
	default:
		return fmt.Errorf("no type for the kind %s", about.Kind)
	}
	errs, err := strict.UnmarshalStrict(text, into)
	if err != nil {
		return err
	}
	if len(errs) > 0 {
		return errs[0]
	}
	return nil
}
