<?xml version="1.0" encoding="utf-8"?>
<!DOCTYPE TS>
<TS version="2.1" language="es" sourcelanguage="en">
<context>
    <name></name>
    <message>
        <source>Starting: opening the source and loading the nets.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>No picture comes: check cable or network. Waiting up to 10 s.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Working out the result.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Looking for the pulse; the first number takes about ten seconds.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Stopped before the end: this is what was measured until then.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{count} frames were skipped: this machine was too slow for the source.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>A report cannot be written as {ending}</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>A report cannot be written as a file without an ending</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Give a file name that ends in {endings}.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{one} or {other}</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{name} is a folder</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Give the name of a file for the report.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The report {name} could not be written: {why}</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>the disk is full</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>the folder may not be written to</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>its folder does not exist</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Free some space, or choose another disk.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Make the folder, or choose another one.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Choose a folder of your own.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Health Helper: result of a scan</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Result of a scan, {when}</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Vital signs</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{why}. {remedy}</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>95 % interval {interval}, confidence {percent} %</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>95 % interval {interval}, confidence {percent} %; less sure because {why}</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Pulse wave ({seconds} s of it at most; no unit)</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>None was found.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The pulse wave from second {first} to second {last} of the scan.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Heart rate in the course of the scan (/min; gaps: withheld)</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>No heart rate was shown at any moment.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The heart rate from second {first} to second {last} of the scan: between {low} and {high} per minute.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Heart rate over time (/min; a dot for each scan)</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The heart rates of {count} scans from {first} to {last}: between {low} and {high} per minute.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{seconds} s</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>How it was measured</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Source: {source}</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{counted} of {whole} s counted, {frames} frames, {rate} frames per second, quality {percent} %</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Version {version}; heart rate by {algorithm}</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>What limited it most: {why}.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>What it is not</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>All values are estimates from the colour and movement of the picture, with their 95 % interval; a value that cannot be trusted is not shown.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>In an emergency call for help, whatever this says.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Not a medical device. It does not diagnose, and it does not replace a doctor or a measuring instrument.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>SIMULATED - no person was measured</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>no face was seen</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Let the camera see your whole face, with a light in front of you.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>the face left the picture</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Come back into the picture and stay there.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>there was more than one face</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Only one person may be in the picture.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>the face was too small in the picture</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Come closer to the camera.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>the face was too near</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Move back a little.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>the face was at the edge of the picture</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Move to the middle of the picture.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>it was too dark</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Switch on a light in front of you, or turn towards a window.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>the face was too bright</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Move away from the direct light, or dim it.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>the light came from behind</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Turn round, so that the window or lamp is in front of you.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>one side of the face was much darker</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Turn to the light, so that both sides of the face get it.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>the skin or the glasses shone</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Dim or move the lamp that shines on the face, or dab the skin.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>something covered a part of the face</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Take hand, mask or hair away from the face.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>the head was tilted</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Hold your head upright, or turn the camera upright.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>there was too much movement</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Hold your head still.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>the mouth moved</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Do not speak or chew for a moment.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>the light kept changing</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Turn off screens or lamps that change; use one steady light.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>the camera kept changing its exposure</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Keep the light steady; switch the camera&apos;s automatic off.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>the lamp flickers</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Use daylight or another lamp.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>there was too little usable signal</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Measure for longer, at least half a minute.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>too few pictures came</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Close other programs, or use a camera with more frames per second.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>the camera gave too few pictures per second</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Use more light (cameras slow down in the dark) or another camera.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>the true frame rate of the recording is not known</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Use a recording with true timestamps, or measure live.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>the pictures stopped coming</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Check the cable or the network, then start again.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>no pulse was seen in the skin</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Use more and steadier light on the face, and hold still.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>the pulse was too weak to be sure</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Use more light on the face, and hold still.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>the signal does not come from living skin</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Measure a person, not a picture; nothing may cover the face.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>two ways of measuring disagreed</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Hold still, breathe calmly and measure again.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>the number found cannot be right</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Measure again; hold still in steady light.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>too few heartbeats were seen</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>the single heartbeats were not sharp enough</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Use more light on the face and hold quite still.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>no breathing was seen</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Let the chest be in the picture, and breathe calmly.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Heart rate</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Breathing rate</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Variability RMSSD</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Variability SDNN</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>/min</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>ms</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{value} {unit}</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{low} to {high}</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>not shown: it needs {needed} s of good signal, there were {found}</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>not shown: {why}</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Ended early, because going on would not have helped: {why}. {remedy} Then start again.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Saved on this device.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Not saved: {why}.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>you asked for that</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>nobody was measured</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>there is no heart rate to keep</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>this system has no key store</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>the key store of this system is locked</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>the key store of this system fails</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>the key of the store is not on this system</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>the store was locked with another key</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>the store is damaged</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>a newer version has written the store</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>the store may not be written to</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>another program is using the store</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>the database of the store is missing</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>a library of the store is not installed</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>the store could not be read or written</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Cancel</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Add a person</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Name of the person whose results are to be kept:</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Name</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Add</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Type a name.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Add a reading</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>For {name}. It is marked as typed in.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Guest</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Device</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>When it was read</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Save</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source> (may be left out)</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Recovery key</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Write this down or print it, and keep it away from this computer. It opens what is kept here when this computer&apos;s key store is lost, and on another computer. It is shown only now.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Print…</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>I have written it down</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Open with the recovery key</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Type the recovery key from the paper:</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Open</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Type the key.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>History</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>What the plot shows</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>How far back</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Course over days</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>What is kept, the newest first</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>When</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>What</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Values</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Details</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Delete</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Show older ones</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Add a reading…</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Export…</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>History of {name}</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Result</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Kept for {name}, {when}.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Pulse wave (10 s of it)</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Pulse wave</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Heart rate in the course of the scan (gaps: withheld)</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Heart rate in the course of the scan</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Save for {name}</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Save as guest</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Report…</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Discard</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Back</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Scan</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>For {name}. Choose another person at the top.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>For a guest. To keep results under a name, choose one at the top.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Measure your pulse with the camera</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Sit down and rest for a minute. Put a steady light in front of you, not behind.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Bring your face into the outline, about an arm&apos;s length away, and take off a mask.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Hold still, do not talk, and breathe as usual. It takes about a minute.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Pictures are measured on this device and thrown away at once. Nothing is recorded.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Start the scan</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>What to do now</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Heart rate now</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>beats per minute</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Finish now</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Try again</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Settings</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Health Helper {version}</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Show its picture</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Language and look</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Language</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Colours</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>As the system</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Light</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Dark</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Size of text</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Camera</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The first one</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Good signal that a scan takes</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>No camera was found. Plug one in and open this page again.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Variability (RMSSD, SDNN) needs 60 s of good signal or more.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>What is kept on this device</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Lock when nobody uses it</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>after {minutes} min</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>never (a kiosk)</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>New recovery key…</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Open with the recovery key…</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Open the store</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Add a person…</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Delete the chosen person…</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Encrypted; its key is in this system&apos;s key store. {count} people. Folder: {folder}</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Nobody has a recovery key on paper yet.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The store is being opened …</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The store is locked.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Hide its picture</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Welcome</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Welcome to Health Helper</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>What it does</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>It measures pulse, pulse-rate variability and breathing with the camera, on this device. Pictures are thrown away at once. Results are kept on this device only if you save them, encrypted.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>What it is not for</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Emergencies: chest pain, trouble breathing, signs of a stroke, thoughts of suicide. Call for help at once.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>People under 18.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Decisions in pregnancy, and about medicines or treatment at any time.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The camera</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>I am 18 or older.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>I have read what it is not for.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>I agree that the camera is used to measure me during a scan.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Continue</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>macOS asks once whether Health Helper may use the camera. To change it later: System Settings, Privacy &amp; Security, Camera.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Windows lets programs use the camera only if that is switched on: Settings, Privacy &amp; security, Camera, &quot;Let desktop apps access your camera&quot;.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Linux asks nobody: your account needs the right to use the camera (on most systems it has it; otherwise an administrator adds it to the group &quot;video&quot;).</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The store is locked</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Unlock it and try again.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The settings could not be written; they hold until the window is closed.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Health Helper has met a bug of its own. Nothing that was saved is lost.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Pulse</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Blood pressure (cuff)</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Upper (systolic)</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Lower (diastolic)</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Oximeter</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Oxygen saturation</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Thermometer</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Temperature</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Scales</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Weight</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{title}: type a number.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{title}: type a number from {least} to {most}.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The lower number must be below the upper one.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>pulse {pulse}</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Heart rate, /min</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Breathing rate, /min</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Variability RMSSD, ms</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Variability SDNN, ms</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>7 days</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>30 days</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>1 year</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>All</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>heart rate {rate} /min ({interval})</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>breathing {rate} /min</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>RMSSD {value} ms</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>SDNN {value} ms</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{title}: nothing to show yet</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{title}: one scan, {value}</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{title}: {count} scans, from {least} to {most}, the newest {newest}</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>How often the heart beats. Moving, talking, excitement, warmth, coffee, fever and medicines change it.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>How often you breathe. Talking, moving and attention to it change it.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>How much the time between two beats changes from beat to beat. It differs widely between people; age, rest, breathing and training change it. Compare it with your own earlier ones only.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>How much the time between beats varies over the whole scan. It grows with the length of the scan. Compare it with your own earlier ones only.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Your heart rate is {rate} per minute</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{counted} s of {all} s counted. Confidence {percent} %.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>No heart rate is shown</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Because {why}. {remedy}</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>95 % interval {interval}</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{interval}; less sure because {why}</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Good. Hold still and breathe calmly.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Starting</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Find your place</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Measuring</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Paused</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Waiting for the camera</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Almost done</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Done</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Not finished</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{seconds} s counted</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{seconds} s left</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{fps} pictures per second</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Message</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Close</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Camera picture</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>No picture yet</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Progress of the scan</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Pages</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Who is measured</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>No camera was found</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Plug in a camera, or switch it on, and try again.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Is this the result of {name}? It would be kept in their history.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Whose result is this?</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Yes, {name}</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Saved for {name}.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Undo</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Deleted.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Report (*.pdf);;Data (*.json)</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Report written: {name}</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Table (*.csv);;Data (*.json)</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Written: {name}, {count} kept. It is not encrypted.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Where to</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Choose a person at the top first; a guest can&apos;t be deleted.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Delete {name} and all that is kept of them? It can be put back for 30 days.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Delete a person</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Delete {name}</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{name} was deleted.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Nobody has a recovery key on paper yet. Without one, what is kept is lost with this computer&apos;s key store.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Make one…</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The recovery key is in force now, instead of any older one.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Locked, because nobody used it for {minutes} min.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Unlock</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{name} was closed before its first picture</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Start again.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{name} shows the same picture again and again</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Unfreeze the camera program, or plug the camera in again.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{name} has sent no picture for {seconds} s</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Check its cable; the camera is opened again as soon as it is back.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Set it to 640×480 in its own program, or use another camera.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{name} shows only black</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Take the cover off the lens, switch its privacy switch off, or make light; a program that holds the camera can be the cause too.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{name} did not answer within {seconds} s</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Plug the camera out and in again, then try again.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{name} was opened but sent no picture within {seconds} s</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Close other programs that use it, and plug it directly into the computer, not into a hub.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>No camera is plugged in, or the system does not show it</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Plug one in, or measure a file (--video), a stream (--url) or the demo (--demo).</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>There is no camera {name}</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{name} was unplugged</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Plug it in again.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>You may not use {name}</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Allow it: sudo usermod -aG video {user}, then log in again.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{name} is used by {program}</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Close that program, then try again.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{name} cannot be opened</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Close other programs that use it (video calls, browsers), allow this terminal to use the camera in the system&apos;s privacy settings, then plug it in again.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Check the camera and its network; the connection is tried again by itself.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Look up the address of the camera&apos;s MJPEG stream (multipart/x-mixed-replace) in its manual.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Choose a larger picture in the camera&apos;s settings, 640×480 for example.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Check the stream in a browser; restart the camera, or choose MJPEG in its settings.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Take the cover off the lens, switch its privacy mode off, or give it light.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Check that the camera is on and not used by others, then try again.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The address of the stream is not a URL</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The address of the stream names no computer</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Put the right ones into the address: http://user:password@host/….</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Use another user, or allow this one to see the stream in the camera&apos;s settings.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Look up the path of the MJPEG stream in the camera&apos;s manual.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Open the address in a browser and use the one that it ends at.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Restart the camera, or wait until others stop using it.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Check the address.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Install the camera&apos;s certificate (or its authority&apos;s) on this computer, or use http://.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Check the port, or use http:// in the address.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Check the spelling and the network.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Check that the camera&apos;s stream is switched on and that the port is right.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Check the port, and open the address in a browser.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Check the network and the address.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Ask the simulation for more than 0 s.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Copy or record the file again; it was not written to its end.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Scale the video down to 4K or less; a face needs only a few hundred pixels.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Copy or record the file again, or convert it to H.264 in an MP4.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Give a larger video; a face needs some hundred pixels.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Record again with a program that stores times, or convert the file to MP4 or Matroska.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Rename it, for example to scan.mp4.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Name the video file inside it.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Copy or record the file again.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Check the path of the video file.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Give your user the right to read the file, or copy it.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Check the disk, or copy the file elsewhere.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Stopped before the end</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Nothing was kept; start the scan again.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The source opened but sent no picture</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Check the cable or the network, close other programs that use the camera, then try again.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The store on this device is damaged, so nothing can be kept or shown from it</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Put back a backup of its whole folder. The damaged file is left as it is.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The store on this device was locked with another key than the one in this system&apos;s key store</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Open it with its recovery key: health-helper recovery-key --restore. Nothing was changed.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The store on this device was written by a newer version of Health Helper</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Install that version again, or a later one. Nothing was changed.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The store on this device may not be written to</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Give yourself the right to write in its folder, or free it from another program, and try again.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The disk is full, so this was not kept</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Free some space and save again; what was kept before is safe.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Another program is using the store on this device</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Close the other window of Health Helper and try again.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The store on this device could not be read or written ({kind})</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Check the disk and the rights of its folder and try again.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The library of the encrypted store (sqlcipher3) cannot be loaded</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Run &apos;make setup&apos; again (without make: &apos;python packaging/setup.py setup&apos;).</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>This was kept by another version of Health Helper and cannot be shown by this one</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Install the newest version; nothing is lost.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>This name can&apos;t be used</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>A name needs a letter at least</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Give one of 1 to {most} letters.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>There is already somebody of this name</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Add an initial or a nickname, so that nothing is saved under the wrong person.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>This person is not on this device</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Choose another one.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The store on this device is missing its database</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Put back a backup of its whole folder. To start a new store instead, remove the file {name} from it.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>There is no store with a recovery key in this folder ({names})</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Copy the whole folder from the backup or the old computer and try again.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Type it as it is printed, with or without the hyphens.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>This recovery key has a typing mistake</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Compare it with the printed one, letter by letter.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>This recovery key does not belong to this store</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Look for the one that was printed last when this store was in use.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The recovery file was written by another version of Health Helper</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Install the newest version and try again.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The recovery file beside the store is damaged</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Take it from a backup: without it the recovery key opens nothing.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>This system has no key store, so nothing can be kept</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Start one (GNOME Keyring, KWallet) and try again. You can measure meanwhile and save a copy of the report.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The key store of this system is locked, so nothing can be kept</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Unlock it (log in to the desktop) and try again. You can measure meanwhile and save a copy of the report.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The key store of this system fails ({kind})</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Run &apos;health-helper doctor&apos;. You can measure meanwhile and save a copy of the report.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Restore it from the repository or install Health Helper again.</source>
        <translation type="unfinished"></translation>
    </message>
</context>
</TS>
