package main

import (
	"encoding/json"
	"os"
	"sync"
	"time"
)

// knobs are the settings of a running kubelet that tests change. They are in a
// file, so that they survive a restart of the kubelet.
type knobs struct {
	APIDelayMillis int    `json:"apiDelayMillis"`
	Pressure       string `json:"pressure"`
	MaxPods        *int   `json:"maxPods"`
	// StreamLimitMillis is the longest duration of a connection to the kubelet; 0
	// is no limit.
	StreamLimitMillis int `json:"streamLimitMillis"`
}

// pressures are the values for the pressure of a node; see machine.go.
var pressures = []string{"none", "memory", "disk", "disk-soft"}

// readKnobs returns the defaults if the file is missing.
func readKnobs(path string) knobs {
	k := knobs{}
	if text, err := os.ReadFile(path); err == nil {
		json.Unmarshal(text, &k)
	}
	return k
}

func (k knobs) apiDelay() time.Duration { return time.Duration(k.APIDelayMillis) * time.Millisecond }

func (k knobs) streamLimit() time.Duration {
	return time.Duration(k.StreamLimitMillis) * time.Millisecond
}

var turning sync.Mutex

func turnKnobs(path string, set func(*knobs)) error {
	turning.Lock()
	defer turning.Unlock()
	k := readKnobs(path)
	set(&k)
	text, err := json.Marshal(k)
	if err != nil {
		return err
	}
	// In one step, since the kubelet may read at any time.
	if err := os.WriteFile(path+".new", text, 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}
