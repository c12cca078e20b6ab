package main

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"sync"

	"github.com/google/uuid"
	"github.com/kubeflow/pipelines/backend/src/apiserver/client"
	"github.com/kubeflow/pipelines/backend/src/apiserver/resource"
	swf "github.com/kubeflow/pipelines/backend/src/crd/pkg/apis/scheduledworkflow/v1beta1"
	swfclient "github.com/kubeflow/pipelines/backend/src/crd/pkg/client/clientset/versioned/typed/scheduledworkflow/v1beta1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/scheme"
	core "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
)

// fakes are KFP's fake clients, with two parts of Kubernetes more than they have: schedules that can be told
// apart, and logs of pods. KFP's own fake gives every schedule the same id, and no log at all.
type fakes struct {
	*resource.FakeClientManager
	schedules *schedules
	pods      *pods
}

func newFakes() *fakes {
	clients := resource.NewFakeClientManagerOrFatalV2()
	return &fakes{
		FakeClientManager: clients,
		schedules:         &schedules{known: map[string]*swf.ScheduledWorkflow{}},
		pods:              &pods{KubernetesCoreInterface: clients.KubernetesCoreClient()},
	}
}

func (f *fakes) SwfClient() client.SwfClientInterface                 { return f.schedules }
func (f *fakes) KubernetesCoreClient() client.KubernetesCoreInterface { return f.pods }

type schedules struct {
	swfclient.ScheduledWorkflowInterface
	lock  sync.Mutex
	known map[string]*swf.ScheduledWorkflow
}

func (s *schedules) ScheduledWorkflow(string) swfclient.ScheduledWorkflowInterface { return s }

func (s *schedules) Create(_ context.Context, made *swf.ScheduledWorkflow) (*swf.ScheduledWorkflow, error) {
	s.lock.Lock()
	defer s.lock.Unlock()
	made.UID = types.UID(uuid.NewString())
	made.Name = fmt.Sprintf("%s%d", made.GenerateName, len(s.known))
	made.Namespace = namespace
	s.known[made.Name] = made
	return made, nil
}

func (s *schedules) Get(_ context.Context, name string, _ metav1.GetOptions) (*swf.ScheduledWorkflow, error) {
	s.lock.Lock()
	defer s.lock.Unlock()
	found, ok := s.known[name]
	if !ok {
		return nil, fmt.Errorf("there is no ScheduledWorkflow %s", name)
	}
	return found, nil
}

// Patch knows the one patch that KFP makes: whether a schedule is enabled.
func (s *schedules) Patch(
	ctx context.Context, name string, _ types.PatchType, data []byte, _ ...string,
) (*swf.ScheduledWorkflow, error) {
	found, err := s.Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	s.lock.Lock()
	defer s.lock.Unlock()
	switch string(data) {
	case `{"spec":{"enabled":true}}`:
		found.Spec.Enabled = true
	case `{"spec":{"enabled":false}}`:
		found.Spec.Enabled = false
	default:
		return nil, fmt.Errorf("unknown patch: %s", data)
	}
	return found, nil
}

func (s *schedules) Delete(_ context.Context, name string, _ *metav1.DeleteOptions) error {
	s.lock.Lock()
	defer s.lock.Unlock()
	delete(s.known, name)
	return nil
}

// pods have logs where /fake/pods/NAME/log answers one; what answers there is part of this program.
type pods struct {
	client.KubernetesCoreInterface
	web string
}

type podLogs struct {
	core.PodInterface
	web string
}

func (p *pods) PodClient(string) core.PodInterface {
	return podLogs{p.KubernetesCoreInterface.PodClient(namespace), p.web}
}

func (p podLogs) GetLogs(name string, _ *corev1.PodLogOptions) *rest.Request {
	base, _ := url.Parse(p.web)
	content := rest.ClientContentConfig{
		Negotiator: runtime.NewClientNegotiator(scheme.Codecs.WithoutConversion(), corev1.SchemeGroupVersion),
	}
	asked := rest.NewRequestWithClient(base, "", content, http.DefaultClient)
	return asked.Verb("GET").AbsPath("/fake/pods/" + name + "/log")
}
