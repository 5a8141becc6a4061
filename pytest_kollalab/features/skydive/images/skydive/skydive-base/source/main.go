// Skydive's command, for a build from the modules that go.sum pins: upstream's own module
// replaces others by folders beside it, which a module proxy does not serve.
package main

import (
	"os"

	"github.com/skydive-project/skydive/cmd/skydive"
)

func main() {
	if skydive.RootCmd.Execute() != nil {
		os.Exit(1)
	}
}
