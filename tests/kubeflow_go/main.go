// Command kubeflow_go runs Kubeflow Pipelines' own code for tidemill's tests: what an API server does with
// a file before any cluster is asked, and the API server itself over its fake clients.
//
//	kubeflow_go compile          JSON list of files on stdin, what became of each on stdout
//	kubeflow_go serve            an API server on loopback, until stdin is closed; its address on stdout
//
// Nothing here decides anything: what KFP answers is handed on as it is.
package main

import (
	"fmt"
	"os"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "say compile or serve")
		os.Exit(2)
	}
	var err error
	switch os.Args[1] {
	case "compile":
		err = compileAll(os.Stdin, os.Stdout)
	case "serve":
		err = serve(os.Stdin, os.Stdout)
	default:
		err = fmt.Errorf("no such command: %s", os.Args[1])
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
