package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"

	"github.com/gorilla/mux"
	api "github.com/kubeflow/pipelines/backend/api/v2beta1/go_client"
	"github.com/kubeflow/pipelines/backend/src/apiserver/common"
	"github.com/kubeflow/pipelines/backend/src/apiserver/resource"
	"github.com/kubeflow/pipelines/backend/src/apiserver/server"
	"github.com/kubeflow/pipelines/backend/src/common/util"
	"github.com/spf13/viper"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	namespace = "kubeflow"
	// The only pod that has a log.
	logged = "pod-with-a-log"
)

// serve answers until in is closed, so that no server outlives the tests that started it.
func serve(in io.Reader, out io.Writer) error {
	viper.Set(common.PodNamespace, namespace)
	clients := newFakes()
	manager := resource.NewResourceManager(clients, &resource.ResourceManagerOptions{})
	if _, err := manager.CreateDefaultExperiment(""); err != nil {
		return err
	}
	rpc, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	services := services(manager)
	go services.Serve(rpc)
	defer services.Stop()

	router, err := routes(manager, clients, rpc.Addr().String())
	if err != nil {
		return err
	}
	web, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	clients.pods.web = "http://" + web.Addr().String()
	go http.Serve(web, router)
	fmt.Fprintf(out, "http://%s\n", web.Addr())
	_, err = io.Copy(io.Discard, in)
	return err
}

// services are the gRPC services behind the REST API, with the API server's own way to answer errors.
func services(manager *resource.ResourceManager) *grpc.Server {
	answer := func(ctx context.Context, request any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
		response, err := handler(ctx, request)
		if err != nil {
			return nil, util.ToGRPCError(err)
		}
		return response, nil
	}
	s := grpc.NewServer(grpc.UnaryInterceptor(answer), grpc.MaxRecvMsgSize(math.MaxInt32))
	api.RegisterExperimentServiceServer(s, server.NewExperimentServer(manager, &server.ExperimentServerOptions{}))
	api.RegisterPipelineServiceServer(s, server.NewPipelineServer(manager, &server.PipelineServerOptions{}))
	api.RegisterRecurringRunServiceServer(s, server.NewJobServer(manager, &server.JobServerOptions{}))
	api.RegisterRunServiceServer(s, server.NewRunServer(manager, &server.RunServerOptions{}))
	api.RegisterReportServiceServer(s, server.NewReportServer(manager))
	return s
}

// routes are the API server's paths, and below /fake/ what its fake clients were given.
func routes(manager *resource.ResourceManager, clients *fakes, rpc string) (http.Handler, error) {
	gateway := newGateway()
	options := []grpc.DialOption{
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(math.MaxInt32)),
	}
	for _, register := range []func(context.Context, *gatewayMux, string, []grpc.DialOption) error{
		api.RegisterExperimentServiceHandlerFromEndpoint,
		api.RegisterPipelineServiceHandlerFromEndpoint,
		api.RegisterRecurringRunServiceHandlerFromEndpoint,
		api.RegisterRunServiceHandlerFromEndpoint,
		api.RegisterReportServiceHandlerFromEndpoint,
	} {
		if err := register(context.Background(), gateway, rpc, options); err != nil {
			return nil, err
		}
	}
	uploads := server.NewPipelineUploadServer(manager, &server.PipelineUploadServerOptions{})
	router := mux.NewRouter()
	router.HandleFunc("/apis/v2beta1/pipelines/upload", uploads.UploadPipeline)
	router.HandleFunc("/apis/v2beta1/pipelines/upload_version", uploads.UploadPipelineVersion)
	router.HandleFunc("/apis/v2beta1/healthz", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, `{"commit_sha":"test","tag_name":"`+release+`","multi_user":false}`)
	})
	router.HandleFunc("/apis/v1alpha1/runs/{run_id}/nodes/{node_id}/log", server.NewRunLogServer(manager).ReadRunLogV1)
	router.HandleFunc("/fake/workflows/{run_id}", func(w http.ResponseWriter, r *http.Request) {
		answerJSON(w, func() (string, error) { return workflowOf(manager, clients, mux.Vars(r)["run_id"]) })
	})
	router.HandleFunc("/fake/schedules/{recurring_run_id}", func(w http.ResponseWriter, r *http.Request) {
		answerJSON(w, func() (string, error) { return scheduleOf(manager, clients, mux.Vars(r)["recurring_run_id"]) })
	})
	router.HandleFunc("/fake/pods/{name}/log", func(w http.ResponseWriter, r *http.Request) {
		if mux.Vars(r)["name"] != logged {
			http.Error(w, "there is no such pod", http.StatusNotFound)
			return
		}
		io.WriteString(w, "line one\nline two\n")
	})
	router.PathPrefix("/apis/").Handler(gateway)
	return router, nil
}

// workflowOf is what Kubernetes was asked to run.
func workflowOf(manager *resource.ResourceManager, clients *fakes, runID string) (string, error) {
	run, err := manager.GetRun(runID)
	if err != nil {
		return "", err
	}
	workflow, err := clients.ExecClient().Execution(namespace).Get(context.Background(), run.K8SName, metav1.GetOptions{})
	if err != nil {
		return "", err
	}
	return workflow.ToStringForStore(), nil
}

// scheduleOf is the ScheduledWorkflow that KFP's controller would be given.
func scheduleOf(manager *resource.ResourceManager, clients *fakes, jobID string) (string, error) {
	job, err := manager.GetJob(jobID)
	if err != nil {
		return "", err
	}
	schedule, err := clients.SwfClient().ScheduledWorkflow(namespace).Get(context.Background(), job.K8SName, metav1.GetOptions{})
	if err != nil {
		return "", err
	}
	text, err := json.Marshal(schedule)
	return string(text), err
}

func answerJSON(w http.ResponseWriter, find func() (string, error)) {
	text, err := find()
	if err != nil {
		http.Error(w, err.Error(), http.StatusNotFound)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	io.WriteString(w, text)
}
