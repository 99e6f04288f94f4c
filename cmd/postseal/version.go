package main

import (
	"fmt"
	"runtime"

	"github.com/postseal/postseal/cmd/postseal/service"
	"github.com/postseal/postseal/keys"
	"github.com/spf13/cobra"
)

func newVersion() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "version",
		Short:   "Print the version",
		Long:    "Print the version of postseal, of the Go that built it, and what signs with RSA keys.\n\nWith --json: {version, go, rsa}.",
		Example: "  postseal version\n  postseal version --json",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if asJSON {
				return printJSON(cmd, map[string]string{"version": service.Version(), "go": runtime.Version(), "rsa": keys.RSALibrary()})
			}
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "postseal %s (%s %s/%s, rsa: %s)\n", service.Version(), runtime.Version(), runtime.GOOS, runtime.GOARCH, keys.RSALibrary())
			return err
		},
	}
	addJSON(cmd, &asJSON)
	return cmd
}
