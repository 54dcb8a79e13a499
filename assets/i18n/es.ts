<?xml version="1.0" encoding="utf-8"?>
<!DOCTYPE TS>
<TS version="2.1" language="es" sourcelanguage="en">
<context>
    <name></name>
    <message>
        <source>Starting: getting the picture and the measurement ready.</source>
        <translation>Iniciando: se preparan la imagen y la medición.</translation>
    </message>
    <message>
        <source>No picture comes: check cable or network. Waiting up to 10 s.</source>
        <translation>No llega imagen: revise el cable o la red. Esperando hasta 10 s.</translation>
    </message>
    <message>
        <source>Working out the result.</source>
        <translation>Calculando el resultado.</translation>
    </message>
    <message>
        <source>Looking for the pulse; the first number takes about ten seconds.</source>
        <translation>Buscando el pulso; el primer número tarda unos diez segundos.</translation>
    </message>
    <message>
        <source>Stopped before the end: this is what was measured until then.</source>
        <translation>Detenido antes del final: esto es lo que se midió hasta ese momento.</translation>
    </message>
    <message>
        <source>{count} frames were skipped: this machine was too slow for the source.</source>
        <translation>Fotogramas omitidos: {count}. Este equipo fue demasiado lento para la fuente.</translation>
    </message>
    <message>
        <source>A report cannot be written as {ending}</source>
        <translation>No se puede escribir un informe como {ending}</translation>
    </message>
    <message>
        <source>A report cannot be written as a file without an ending</source>
        <translation>No se puede escribir un informe en un archivo sin extensión</translation>
    </message>
    <message>
        <source>An export cannot be written as {ending}</source>
        <translation>No se puede escribir una exportación como {ending}</translation>
    </message>
    <message>
        <source>An export cannot be written as a file without an ending</source>
        <translation>No se puede escribir una exportación en un archivo sin extensión</translation>
    </message>
    <message>
        <source>The export {name} could not be written: {why}</source>
        <translation>No se pudo escribir la exportación {name}: {why}</translation>
    </message>
    <message>
        <source>Give the name of a file for the export.</source>
        <translation>Indique el nombre de un archivo para la exportación.</translation>
    </message>
    <message>
        <source>Give a file name that ends in {endings}.</source>
        <translation>Indique un nombre de archivo que termine en {endings}.</translation>
    </message>
    <message>
        <source>{one} or {other}</source>
        <translation>{one} o {other}</translation>
    </message>
    <message>
        <source>the folder {folder} may not be written to</source>
        <translation>no se permite escribir en la carpeta {folder}</translation>
    </message>
    <message>
        <source>its folder {folder} does not exist</source>
        <translation>su carpeta {folder} no existe</translation>
    </message>
    <message>
        <source>{name} is a folder</source>
        <translation>{name} es una carpeta</translation>
    </message>
    <message>
        <source>Give the name of a file for the report.</source>
        <translation>Indique el nombre de un archivo para el informe.</translation>
    </message>
    <message>
        <source>The report {name} could not be written: {why}</source>
        <translation>No se pudo escribir el informe {name}: {why}</translation>
    </message>
    <message>
        <source>Give one of --once, --watch, --status, --retry [ID] and --export FOLDER; --json goes with --once and --status.</source>
        <translation>Indique una de las opciones --once, --watch, --status, --retry [ID] y --export CARPETA; --json va con --once y --status.</translation>
    </message>
    <message>
        <source>What waits is sent the next time.</source>
        <translation>Lo que está en espera se enviará la próxima vez.</translation>
    </message>
    <message>
        <source>Another program of Health Helper on this computer is sending</source>
        <translation>Otro programa de Health Helper en este equipo está enviando</translation>
    </message>
    <message>
        <source>Nothing has to be done; or close its window and try again.</source>
        <translation>No hay que hacer nada; o cierre su ventana e inténtelo de nuevo.</translation>
    </message>
    <message>
        <source>This device is not enrolled with a clinic</source>
        <translation>Este dispositivo no está registrado en ninguna clínica</translation>
    </message>
    <message>
        <source>Nothing with this ID was refused</source>
        <translation>No se rechazó nada con este ID</translation>
    </message>
    <message>
        <source>See &apos;health-helper sync --status&apos; for what was.</source>
        <translation>Vea con &apos;health-helper sync --status&apos; lo que se rechazó.</translation>
    </message>
    <message>
        <source>{name} is there already</source>
        <translation>{name} ya existe</translation>
    </message>
    <message>
        <source>Give another name.</source>
        <translation>Indique otro nombre.</translation>
    </message>
    <message>
        <source>The folder {name} can&apos;t be made ({kind})</source>
        <translation>No se puede crear la carpeta {name} ({kind})</translation>
    </message>
    <message>
        <source>Choose another place, or make room on its disk.</source>
        <translation>Elija otro lugar o libere espacio en su disco.</translation>
    </message>
    <message>
        <source>Give another name, or --force to replace it.</source>
        <translation>Indique otro nombre, o --force para reemplazarlo.</translation>
    </message>
    <message>
        <source>the disk is full</source>
        <translation>el disco está lleno</translation>
    </message>
    <message>
        <source>Free some space, or choose another disk.</source>
        <translation>Libere espacio o elija otro disco.</translation>
    </message>
    <message>
        <source>Make the folder, or choose another one.</source>
        <translation>Cree la carpeta o elija otra.</translation>
    </message>
    <message>
        <source>Choose a folder of your own.</source>
        <translation>Elija una carpeta propia.</translation>
    </message>
    <message>
        <source>Health Helper: result of a scan</source>
        <translation>Health Helper: resultado de una medición</translation>
    </message>
    <message>
        <source>Result of a scan, {when}</source>
        <translation>Resultado de una medición, {when}</translation>
    </message>
    <message>
        <source>Vital signs</source>
        <translation>Signos vitales</translation>
    </message>
    <message>
        <source>{why}. {remedy}</source>
        <translation>{why}. {remedy}</translation>
    </message>
    <message>
        <source>95 % interval {interval}, confidence {percent} %</source>
        <translation>intervalo del 95 %: {interval}, confianza: {percent} %</translation>
    </message>
    <message>
        <source>95 % interval {interval}, confidence {percent} %. Remark: {why}.</source>
        <translation>intervalo del 95 %: {interval}, confianza: {percent} %. Observación: {why}.</translation>
    </message>
    <message>
        <source>95 % interval {interval}, confidence {percent} %; less sure because {why}</source>
        <translation>intervalo del 95 %: {interval}, confianza: {percent} %; menos seguro porque {why}</translation>
    </message>
    <message>
        <source>Pulse wave ({seconds} s of it at most; no unit)</source>
        <translation>Onda de pulso (como máximo {seconds} s; sin unidad)</translation>
    </message>
    <message>
        <source>None was found.</source>
        <translation>No se encontró ninguna.</translation>
    </message>
    <message>
        <source>The pulse wave from second {first} to second {last} of the scan.</source>
        <translation>La onda de pulso del segundo {first} al segundo {last} de la medición.</translation>
    </message>
    <message>
        <source>Heart rate in the course of the scan (/min; pale: 95 % interval; gaps: withheld)</source>
        <translation>Frecuencia cardíaca durante la medición (/min; tono claro: intervalo del 95 %; huecos: valor no mostrado)</translation>
    </message>
    <message>
        <source>No heart rate was shown at any moment.</source>
        <translation>No se mostró la frecuencia cardíaca en ningún momento.</translation>
    </message>
    <message>
        <source>The heart rate from second {first} to second {last} of the scan: between {low} and {high} per minute.</source>
        <translation>La frecuencia cardíaca del segundo {first} al segundo {last} de la medición: entre {low} y {high} por minuto.</translation>
    </message>
    <message>
        <source>The heart rates of {count} scans from {first} to {last}: between {low} and {high} per minute.</source>
        <translation>Las frecuencias cardíacas de {count} mediciones, del {first} al {last}: entre {low} y {high} por minuto.</translation>
    </message>
    <message>
        <source>Heart rate over time (/min; pale: 95 % interval; upright lines: weeks)</source>
        <translation>Frecuencia cardíaca a lo largo del tiempo (/min; tono claro: intervalo del 95 %; líneas verticales: semanas)</translation>
    </message>
    <message>
        <source>{seconds} s</source>
        <translation>{seconds} s</translation>
    </message>
    <message>
        <source>How it was measured</source>
        <translation>Cómo se midió</translation>
    </message>
    <message>
        <source>Method: remote photoplethysmography (a camera sees the pulse in the colour of the skin)</source>
        <translation>Método: fotopletismografía remota (una cámara ve el pulso en el color de la piel)</translation>
    </message>
    <message>
        <source>Source: {source}</source>
        <translation>Fuente: {source}</translation>
    </message>
    <message>
        <source>{counted} of {whole} s counted, {frames} frames, {rate} frames per second, quality {percent} %</source>
        <translation>{counted} de {whole} s válidos, {frames} fotogramas, {rate} fotogramas por segundo, calidad {percent} %</translation>
    </message>
    <message>
        <source>Version {version}; heart rate by {algorithm}</source>
        <translation>Versión {version}; frecuencia cardíaca calculada con {algorithm}</translation>
    </message>
    <message>
        <source>The other values by {algorithms}</source>
        <translation>Los demás valores, calculados con {algorithms}</translation>
    </message>
    <message>
        <source>What limited it most: {why}.</source>
        <translation>Lo que más limitó la medición: {why}.</translation>
    </message>
    <message>
        <source>Also seen: {reasons}.</source>
        <translation>También se observó: {reasons}.</translation>
    </message>
    <message>
        <source>Report {id}</source>
        <translation>Informe {id}</translation>
    </message>
    <message>
        <source>SHA-256 of the scan: {sha256}</source>
        <translation>SHA-256 de la medición: {sha256}</translation>
    </message>
    <message>
        <source>The code says both: with them whoever has the scan can see that its numbers are those of this page. They do not show who was measured.</source>
        <translation>El código contiene ambos: con ellos, quien tenga la medición puede comprobar que sus números son los de esta página. No indican a quién se midió.</translation>
    </message>
    <message>
        <source>QR code: {text}</source>
        <translation>Código QR: {text}</translation>
    </message>
    <message>
        <source>What it is not</source>
        <translation>Lo que no es</translation>
    </message>
    <message>
        <source>All values are estimates from the colour and movement of the picture, with their 95 % interval; a value that cannot be trusted is not shown.</source>
        <translation>Todos los valores son estimaciones a partir del color y el movimiento de la imagen, con su intervalo del 95 %; un valor en el que no se puede confiar no se muestra.</translation>
    </message>
    <message>
        <source>In an emergency call for help, whatever this says.</source>
        <translation>En una emergencia, pida ayuda, diga lo que diga este informe.</translation>
    </message>
    <message>
        <source>Not a medical device. It does not diagnose, and it does not replace a doctor or a measuring instrument.</source>
        <translation>No es un dispositivo médico. No diagnostica y no sustituye a un médico ni a un instrumento de medición.</translation>
    </message>
    <message>
        <source>SIMULATED - no person was measured</source>
        <translation>SIMULADO - no se midió a ninguna persona</translation>
    </message>
    <message>
        <source>no face was seen</source>
        <translation>no se vio ninguna cara</translation>
    </message>
    <message>
        <source>Let the camera see your whole face, with a light in front of you.</source>
        <translation>Deje que la cámara vea toda su cara, con una luz frente a usted.</translation>
    </message>
    <message>
        <source>the face left the picture</source>
        <translation>la cara salió de la imagen</translation>
    </message>
    <message>
        <source>Come back into the picture and stay there.</source>
        <translation>Vuelva a la imagen y quédese ahí.</translation>
    </message>
    <message>
        <source>there was more than one face</source>
        <translation>había más de una cara</translation>
    </message>
    <message>
        <source>Only one person may be in the picture.</source>
        <translation>Solo puede haber una persona en la imagen.</translation>
    </message>
    <message>
        <source>the face was too small in the picture</source>
        <translation>la cara se veía demasiado pequeña en la imagen</translation>
    </message>
    <message>
        <source>Come closer to the camera.</source>
        <translation>Acérquese a la cámara.</translation>
    </message>
    <message>
        <source>the face was too near</source>
        <translation>la cara estaba demasiado cerca</translation>
    </message>
    <message>
        <source>Move back a little.</source>
        <translation>Aléjese un poco.</translation>
    </message>
    <message>
        <source>the face was at the edge of the picture</source>
        <translation>la cara estaba en el borde de la imagen</translation>
    </message>
    <message>
        <source>Move to the middle of the picture.</source>
        <translation>Colóquese en el centro de la imagen.</translation>
    </message>
    <message>
        <source>it was too dark</source>
        <translation>había muy poca luz</translation>
    </message>
    <message>
        <source>Switch on a light in front of you, or turn towards a window.</source>
        <translation>Encienda una luz frente a usted o gírese hacia una ventana.</translation>
    </message>
    <message>
        <source>the face was too bright</source>
        <translation>había demasiada luz en la cara</translation>
    </message>
    <message>
        <source>Move away from the direct light, or dim it.</source>
        <translation>Apártese de la luz directa o atenúela.</translation>
    </message>
    <message>
        <source>the light came from behind</source>
        <translation>la luz venía de atrás</translation>
    </message>
    <message>
        <source>Turn round, so that the window or lamp is in front of you.</source>
        <translation>Dese la vuelta, para que la ventana o la lámpara quede frente a usted.</translation>
    </message>
    <message>
        <source>one side of the face was much darker</source>
        <translation>un lado de la cara estaba mucho más oscuro</translation>
    </message>
    <message>
        <source>Turn to the light, so that both sides of the face get it.</source>
        <translation>Gírese hacia la luz, para que llegue a ambos lados de la cara.</translation>
    </message>
    <message>
        <source>the skin or the glasses shone</source>
        <translation>la piel o las gafas brillaban</translation>
    </message>
    <message>
        <source>Dim or move the lamp that shines on the face, or dab the skin.</source>
        <translation>Atenúe o mueva la lámpara que da en la cara, o séquese la piel con toques suaves.</translation>
    </message>
    <message>
        <source>something covered a part of the face</source>
        <translation>algo cubría una parte de la cara</translation>
    </message>
    <message>
        <source>Take hand, mask or hair away from the face.</source>
        <translation>Aparte de la cara la mano, la mascarilla o el pelo.</translation>
    </message>
    <message>
        <source>the head was tilted</source>
        <translation>la cabeza estaba inclinada</translation>
    </message>
    <message>
        <source>Hold your head upright, or turn the camera upright.</source>
        <translation>Mantenga la cabeza derecha o enderece la cámara.</translation>
    </message>
    <message>
        <source>there was too much movement</source>
        <translation>hubo demasiado movimiento</translation>
    </message>
    <message>
        <source>Hold your head still.</source>
        <translation>No mueva la cabeza.</translation>
    </message>
    <message>
        <source>the mouth moved</source>
        <translation>la boca se movió</translation>
    </message>
    <message>
        <source>Do not speak or chew for a moment.</source>
        <translation>No hable ni mastique por un momento.</translation>
    </message>
    <message>
        <source>the light kept changing</source>
        <translation>la luz cambiaba todo el tiempo</translation>
    </message>
    <message>
        <source>Turn off screens or lamps that change; use one steady light.</source>
        <translation>Apague las pantallas o lámparas que cambian; use una sola luz estable.</translation>
    </message>
    <message>
        <source>the camera kept changing its exposure</source>
        <translation>la cámara cambiaba su exposición todo el tiempo</translation>
    </message>
    <message>
        <source>Keep the light steady; switch the camera&apos;s automatic off.</source>
        <translation>Mantenga la luz estable; desactive el modo automático de la cámara.</translation>
    </message>
    <message>
        <source>the lamp flickers</source>
        <translation>la lámpara parpadea</translation>
    </message>
    <message>
        <source>Use daylight or another lamp.</source>
        <translation>Use luz natural u otra lámpara.</translation>
    </message>
    <message>
        <source>there was too little usable signal</source>
        <translation>hubo muy poca señal utilizable</translation>
    </message>
    <message>
        <source>Measure for longer, at least half a minute.</source>
        <translation>Mida durante más tiempo, al menos medio minuto.</translation>
    </message>
    <message>
        <source>too few pictures came</source>
        <translation>llegaron muy pocas imágenes</translation>
    </message>
    <message>
        <source>Close other programs, or use a camera with more frames per second.</source>
        <translation>Cierre otros programas o use una cámara con más fotogramas por segundo.</translation>
    </message>
    <message>
        <source>the camera gave too few pictures per second</source>
        <translation>la cámara dio muy pocas imágenes por segundo</translation>
    </message>
    <message>
        <source>Use more light (cameras slow down in the dark) or another camera.</source>
        <translation>Use más luz (las cámaras van más lentas con poca luz) u otra cámara.</translation>
    </message>
    <message>
        <source>the true frame rate of the recording is not known</source>
        <translation>no se conoce la frecuencia de fotogramas real de la grabación</translation>
    </message>
    <message>
        <source>Use a recording with true timestamps, or measure live.</source>
        <translation>Use una grabación con marcas de tiempo reales o mida en directo.</translation>
    </message>
    <message>
        <source>the pictures stopped coming</source>
        <translation>dejaron de llegar imágenes</translation>
    </message>
    <message>
        <source>Check the cable or the network, then start again.</source>
        <translation>Revise el cable o la red y empiece de nuevo.</translation>
    </message>
    <message>
        <source>no pulse was seen in the skin</source>
        <translation>no se vio el pulso en la piel</translation>
    </message>
    <message>
        <source>Use more and steadier light on the face, and hold still.</source>
        <translation>Ponga en la cara más luz y más estable, y no se mueva.</translation>
    </message>
    <message>
        <source>the pulse was too weak to be sure</source>
        <translation>el pulso era demasiado débil para tener seguridad</translation>
    </message>
    <message>
        <source>Use more light on the face, and hold still.</source>
        <translation>Ponga más luz en la cara y no se mueva.</translation>
    </message>
    <message>
        <source>the signal does not come from living skin</source>
        <translation>la señal no viene de piel viva</translation>
    </message>
    <message>
        <source>Measure a person, not a picture; nothing may cover the face.</source>
        <translation>Mida a una persona, no una imagen; nada debe cubrir la cara.</translation>
    </message>
    <message>
        <source>two ways of measuring disagreed</source>
        <translation>dos formas de medir no coincidieron</translation>
    </message>
    <message>
        <source>Hold still, breathe calmly and measure again.</source>
        <translation>No se mueva, respire con calma y mida de nuevo.</translation>
    </message>
    <message>
        <source>the number found cannot be right</source>
        <translation>el número obtenido no puede ser correcto</translation>
    </message>
    <message>
        <source>Measure again; hold still in steady light.</source>
        <translation>Mida de nuevo; no se mueva y use una luz estable.</translation>
    </message>
    <message>
        <source>too few heartbeats were seen</source>
        <translation>se vieron muy pocos latidos</translation>
    </message>
    <message>
        <source>the single heartbeats were not sharp enough</source>
        <translation>los latidos individuales no se distinguían con suficiente claridad</translation>
    </message>
    <message>
        <source>Use more light on the face and hold quite still.</source>
        <translation>Ponga más luz en la cara y no se mueva nada.</translation>
    </message>
    <message>
        <source>no breathing was seen</source>
        <translation>no se vio la respiración</translation>
    </message>
    <message>
        <source>Let the chest be in the picture, and breathe calmly.</source>
        <translation>Procure que el pecho se vea en la imagen y respire con calma.</translation>
    </message>
    <message>
        <source>Heart rate</source>
        <translation>Frecuencia cardíaca</translation>
    </message>
    <message>
        <source>Breathing rate</source>
        <translation>Frecuencia respiratoria</translation>
    </message>
    <message>
        <source>Variability RMSSD</source>
        <translation>Variabilidad RMSSD</translation>
    </message>
    <message>
        <source>Variability SDNN</source>
        <translation>Variabilidad SDNN</translation>
    </message>
    <message>
        <source>/min</source>
        <translation>/min</translation>
    </message>
    <message>
        <source>ms</source>
        <translation>ms</translation>
    </message>
    <message>
        <source>{value} {unit}</source>
        <translation>{value} {unit}</translation>
    </message>
    <message>
        <source>{low} to {high}</source>
        <translation>{low} a {high}</translation>
    </message>
    <message>
        <source>Measure for longer: {needed} s of good signal or more.</source>
        <translation>Mida durante más tiempo: {needed} s de buena señal o más.</translation>
    </message>
    <message>
        <source>not shown: it needs {needed} s of good signal, there were {found}</source>
        <translation>no se muestra: necesita {needed} s de buena señal y hubo {found}</translation>
    </message>
    <message>
        <source>not shown: {why}</source>
        <translation>no se muestra: {why}</translation>
    </message>
    <message>
        <source>Ended early, because going on would not have helped: {why}. {remedy} Then start again.</source>
        <translation>Terminó antes de tiempo, porque continuar no habría servido: {why}. {remedy} Después, empiece de nuevo.</translation>
    </message>
    <message>
        <source>Saved on this device.</source>
        <translation>Guardado en este dispositivo.</translation>
    </message>
    <message>
        <source>Not saved: {why}.</source>
        <translation>No se guardó: {why}.</translation>
    </message>
    <message>
        <source>you asked for that</source>
        <translation>usted lo pidió así</translation>
    </message>
    <message>
        <source>nobody was measured</source>
        <translation>no se midió a nadie</translation>
    </message>
    <message>
        <source>there is no heart rate to keep</source>
        <translation>no hay ninguna frecuencia cardíaca que guardar</translation>
    </message>
    <message>
        <source>this system has no key store</source>
        <translation>este sistema no tiene almacén de claves</translation>
    </message>
    <message>
        <source>the key store of this system is locked</source>
        <translation>el almacén de claves de este sistema está bloqueado</translation>
    </message>
    <message>
        <source>the key store of this system fails</source>
        <translation>el almacén de claves de este sistema falla</translation>
    </message>
    <message>
        <source>the key of the store is not on this system</source>
        <translation>la clave del almacén de datos no está en este sistema</translation>
    </message>
    <message>
        <source>the store was locked with another key</source>
        <translation>el almacén de datos se bloqueó con otra clave</translation>
    </message>
    <message>
        <source>the store is damaged</source>
        <translation>el almacén de datos está dañado</translation>
    </message>
    <message>
        <source>a newer version has written the store</source>
        <translation>una versión más nueva escribió el almacén de datos</translation>
    </message>
    <message>
        <source>the store may not be written to</source>
        <translation>no se permite escribir en el almacén de datos</translation>
    </message>
    <message>
        <source>another program is using the store</source>
        <translation>otro programa está usando el almacén de datos</translation>
    </message>
    <message>
        <source>the store was mended or renewed meanwhile</source>
        <translation>entretanto se reparó o se renovó el almacén de datos</translation>
    </message>
    <message>
        <source>the store was closed meanwhile</source>
        <translation>el almacén se cerró entretanto</translation>
    </message>
    <message>
        <source>the file on the disk is damaged</source>
        <translation>el archivo del disco está dañado</translation>
    </message>
    <message>
        <source>the database of the store is missing</source>
        <translation>falta la base de datos del almacén de datos</translation>
    </message>
    <message>
        <source>a library of the store is not installed</source>
        <translation>no está instalada una biblioteca del almacén de datos</translation>
    </message>
    <message>
        <source>the store could not be read or written</source>
        <translation>no se pudo leer o escribir el almacén de datos</translation>
    </message>
    <message>
        <source>Cancel</source>
        <translation>Cancelar</translation>
    </message>
    <message>
        <source>Add a person</source>
        <translation>Añadir una persona</translation>
    </message>
    <message>
        <source>Rename a person</source>
        <translation>Cambiar el nombre de una persona</translation>
    </message>
    <message>
        <source>Another name for {name}; what is kept of them stays theirs:</source>
        <translation>Otro nombre para {name}; lo guardado de esta persona sigue siendo suyo:</translation>
    </message>
    <message>
        <source>Name of the person whose results are to be kept:</source>
        <translation>Nombre de la persona cuyos resultados se guardarán:</translation>
    </message>
    <message>
        <source>Name</source>
        <translation>Nombre</translation>
    </message>
    <message>
        <source>Record number, typed or scanned (may be left out):</source>
        <translation>Número de historia clínica, escrito o escaneado (opcional):</translation>
    </message>
    <message>
        <source>Add</source>
        <translation>Añadir</translation>
    </message>
    <message>
        <source>Rename</source>
        <translation>Cambiar el nombre</translation>
    </message>
    <message>
        <source>Type a name.</source>
        <translation>Escriba un nombre.</translation>
    </message>
    <message>
        <source>Record number</source>
        <translation>Número de historia clínica</translation>
    </message>
    <message>
        <source>Type or scan a person&apos;s record number, to choose them.</source>
        <translation>Escriba o escanee el número de historia clínica de una persona para elegirla.</translation>
    </message>
    <message>
        <source>Before this is saved for {name}: type or scan their record number.</source>
        <translation>Antes de guardar esto para {name}, escriba o escanee su número de historia clínica.</translation>
    </message>
    <message>
        <source>Choose that person</source>
        <translation>Elegir a esa persona</translation>
    </message>
    <message>
        <source>Choose</source>
        <translation>Elegir</translation>
    </message>
    <message>
        <source>Go on</source>
        <translation>Continuar</translation>
    </message>
    <message>
        <source>Nobody on this device has this number. Try it again.</source>
        <translation>Nadie en este dispositivo tiene este número. Inténtelo de nuevo.</translation>
    </message>
    <message>
        <source>This number belongs to somebody else on this device. Nothing was saved. Try it again, or choose that person and save then.</source>
        <translation>Este número es de otra persona de este dispositivo. No se guardó nada. Inténtelo de nuevo, o elija a esa persona y guarde entonces.</translation>
    </message>
    <message>
        <source>Send to the clinic?</source>
        <translation>¿Enviar a la clínica?</translation>
    </message>
    <message>
        <source>Keep here only</source>
        <translation>Conservar solo aquí</translation>
    </message>
    <message>
        <source>Send too</source>
        <translation>Enviar también</translation>
    </message>
    <message>
        <source>Delete {name} and all that is kept of them? It can be put back for {days} days.</source>
        <translation>¿Eliminar a {name} y todo lo guardado de esta persona? Se puede recuperar durante {days} días.</translation>
    </message>
    <message>
        <source>What was sent of them is erased in the clinic&apos;s cloud too, once it can&apos;t be put back any more.</source>
        <translation>Lo que se envió de esta persona también se borra de la nube de la clínica, en cuanto ya no se pueda recuperar.</translation>
    </message>
    <message>
        <source>Delete for ever now…</source>
        <translation>Eliminar para siempre…</translation>
    </message>
    <message>
        <source>The result of the last scan is not saved yet. Save it for {name}, or discard it?</source>
        <translation>El resultado de la última medición aún no se ha guardado. ¿Guardarlo para {name} o descartarlo?</translation>
    </message>
    <message>
        <source>Add a reading</source>
        <translation>Añadir una lectura</translation>
    </message>
    <message>
        <source>For {name}. It is marked as typed in.</source>
        <translation>Para {name}. Se marca como escrita a mano.</translation>
    </message>
    <message>
        <source>Deleted in the last {days} days</source>
        <translation>Eliminado en los últimos {days} días</translation>
    </message>
    <message>
        <source>Choose what is to be put back. A person comes back with all that was deleted with them.</source>
        <translation>Elija lo que quiere recuperar. Una persona vuelve con todo lo que se eliminó con ella.</translation>
    </message>
    <message>
        <source>Nothing was deleted in the last {days} days.</source>
        <translation>No se eliminó nada en los últimos {days} días.</translation>
    </message>
    <message>
        <source>Deleted</source>
        <translation>Eliminado</translation>
    </message>
    <message>
        <source>Whose</source>
        <translation>De quién</translation>
    </message>
    <message>
        <source>Put back</source>
        <translation>Recuperar</translation>
    </message>
    <message>
        <source>Guest</source>
        <translation>Invitado</translation>
    </message>
    <message>
        <source>This person, with all that was kept of them</source>
        <translation>Esta persona, con todo lo que se guardó de ella</translation>
    </message>
    <message>
        <source>Device</source>
        <translation>Aparato</translation>
    </message>
    <message>
        <source>When it was read</source>
        <translation>Cuándo se tomó</translation>
    </message>
    <message>
        <source>Save</source>
        <translation>Guardar</translation>
    </message>
    <message>
        <source> (may be left out)</source>
        <translation> (opcional)</translation>
    </message>
    <message>
        <source>Recovery key</source>
        <translation>Clave de recuperación</translation>
    </message>
    <message>
        <source>Write this down or print it, and keep it away from this computer. It opens what is kept here when this computer&apos;s key store is lost, and on another computer. It is shown only now.</source>
        <translation>Anótela o imprímala, y guárdela lejos de este equipo. Abre lo guardado aquí si se pierde el almacén de claves de este equipo, y también en otro equipo. Solo se muestra ahora.</translation>
    </message>
    <message>
        <source>Recovery key: {key}</source>
        <translation>Clave de recuperación: {key}</translation>
    </message>
    <message>
        <source>Print…</source>
        <translation>Imprimir…</translation>
    </message>
    <message>
        <source>I have written it down</source>
        <translation>Ya la he anotado</translation>
    </message>
    <message>
        <source>Open with the recovery key</source>
        <translation>Abrir con la clave de recuperación</translation>
    </message>
    <message>
        <source>Type the recovery key from the paper:</source>
        <translation>Escriba la clave de recuperación que está en el papel:</translation>
    </message>
    <message>
        <source>Open</source>
        <translation>Abrir</translation>
    </message>
    <message>
        <source>Type the key.</source>
        <translation>Escriba la clave.</translation>
    </message>
    <message>
        <source>History</source>
        <translation>Historial</translation>
    </message>
    <message>
        <source>What the plot shows</source>
        <translation>Qué muestra la gráfica</translation>
    </message>
    <message>
        <source>How far back</source>
        <translation>Período mostrado</translation>
    </message>
    <message>
        <source>Course over days</source>
        <translation>Evolución por días</translation>
    </message>
    <message>
        <source>What is kept, the newest first</source>
        <translation>Lo guardado, lo más reciente primero</translation>
    </message>
    <message>
        <source>When</source>
        <translation>Fecha</translation>
    </message>
    <message>
        <source>Deleted items…</source>
        <translation>Eliminados…</translation>
    </message>
    <message>
        <source>{count} values from {first} to {last}: between {low} and {high}.</source>
        <translation>{count} valores del {first} al {last}: entre {low} y {high}.</translation>
    </message>
    <message>
        <source>Blood pressure</source>
        <translation>Presión arterial</translation>
    </message>
    <message>
        <source>Sending to the clinic&apos;s cloud</source>
        <translation>Envío a la nube de la clínica</translation>
    </message>
    <message>
        <source>Heart rate by camera (/min; pale: 95 % interval; upright lines: weeks)</source>
        <translation>Frecuencia cardíaca por cámara (/min; tono claro: intervalo del 95 %; líneas verticales: semanas)</translation>
    </message>
    <message>
        <source>Breathing rate by camera (/min; pale: 95 % interval)</source>
        <translation>Frecuencia respiratoria por cámara (/min; tono claro: intervalo del 95 %)</translation>
    </message>
    <message>
        <source>Blood pressure, upper value (mmHg, typed in)</source>
        <translation>Presión arterial máxima (mmHg, introducida a mano)</translation>
    </message>
    <message>
        <source>Blood pressure, lower value (mmHg, typed in)</source>
        <translation>Presión arterial mínima (mmHg, introducida a mano)</translation>
    </message>
    <message>
        <source>Oxygen saturation (%, typed in)</source>
        <translation>Saturación de oxígeno (%, introducida a mano)</translation>
    </message>
    <message>
        <source>Temperature (°C, typed in)</source>
        <translation>Temperatura (°C, introducida a mano)</translation>
    </message>
    <message>
        <source>Weight (kg, typed in)</source>
        <translation>Peso (kg, introducido a mano)</translation>
    </message>
    <message>
        <source>Health Helper: all that is kept</source>
        <translation>Health Helper: todo lo guardado</translation>
    </message>
    <message>
        <source>Page {number} of {count}</source>
        <translation>Página {number} de {count}</translation>
    </message>
    <message>
        <source>Record number {number}</source>
        <translation>Número de historia clínica: {number}</translation>
    </message>
    <message>
        <source>All that is kept on this device, {when}</source>
        <translation>Todo lo guardado en este dispositivo, {when}</translation>
    </message>
    <message>
        <source>Version {version}</source>
        <translation>Versión {version}</translation>
    </message>
    <message>
        <source>All values by camera are estimates from the colour and movement of the picture, with their 95 % interval; a value that could not be trusted is not shown. Times are those of the place where it was measured.</source>
        <translation>Todos los valores por cámara son estimaciones a partir del color y el movimiento de la imagen, con su intervalo del 95 %; un valor en el que no se pudo confiar no se muestra. Las horas son las del lugar donde se midió.</translation>
    </message>
    <message>
        <source>Quality</source>
        <translation>Calidad</translation>
    </message>
    <message>
        <source>not shown</source>
        <translation>no se muestra</translation>
    </message>
    <message>
        <source>simulated</source>
        <translation>simulado</translation>
    </message>
    <message>
        <source>Scans by camera</source>
        <translation>Mediciones por cámara</translation>
    </message>
    <message>
        <source>What</source>
        <translation>Tipo</translation>
    </message>
    <message>
        <source>Values</source>
        <translation>Valores</translation>
    </message>
    <message>
        <source>Readings that were typed in</source>
        <translation>Lecturas introducidas a mano</translation>
    </message>
    <message>
        <source>Title</source>
        <translation>Título</translation>
    </message>
    <message>
        <source>Size</source>
        <translation>Tamaño</translation>
    </message>
    <message>
        <source>{size} kB</source>
        <translation>{size} kB</translation>
    </message>
    <message>
        <source>Documents</source>
        <translation>Documentos</translation>
    </message>
    <message>
        <source>What for</source>
        <translation>Para qué</translation>
    </message>
    <message>
        <source>Answer</source>
        <translation>Respuesta</translation>
    </message>
    <message>
        <source>Version</source>
        <translation>Versión</translation>
    </message>
    <message>
        <source>agreed</source>
        <translation>aceptado</translation>
    </message>
    <message>
        <source>not agreed, or taken back</source>
        <translation>no aceptado o revocado</translation>
    </message>
    <message>
        <source>Consents</source>
        <translation>Consentimientos</translation>
    </message>
    <message>
        <source>Details</source>
        <translation>Detalles</translation>
    </message>
    <message>
        <source>Delete</source>
        <translation>Eliminar</translation>
    </message>
    <message>
        <source>Show older ones</source>
        <translation>Mostrar anteriores</translation>
    </message>
    <message>
        <source>Add a reading…</source>
        <translation>Añadir una lectura…</translation>
    </message>
    <message>
        <source>Export…</source>
        <translation>Exportar…</translation>
    </message>
    <message>
        <source>History of {name}</source>
        <translation>Historial de {name}</translation>
    </message>
    <message>
        <source>Result</source>
        <translation>Resultado</translation>
    </message>
    <message>
        <source>Kept for {name}, {when}.</source>
        <translation>Guardado para {name}, {when}.</translation>
    </message>
    <message>
        <source>Not saved yet.</source>
        <translation>Aún no se ha guardado.</translation>
    </message>
    <message>
        <source>Pulse wave (10 s of it)</source>
        <translation>Onda de pulso (10 s)</translation>
    </message>
    <message>
        <source>Pulse wave</source>
        <translation>Onda de pulso</translation>
    </message>
    <message>
        <source>Heart rate in the course of the scan (gaps: withheld)</source>
        <translation>Frecuencia cardíaca durante la medición (huecos: valor no mostrado)</translation>
    </message>
    <message>
        <source>Heart rate in the course of the scan</source>
        <translation>Frecuencia cardíaca durante la medición</translation>
    </message>
    <message>
        <source>Save for {name}</source>
        <translation>Guardar para {name}</translation>
    </message>
    <message>
        <source>Save as guest</source>
        <translation>Guardar como invitado</translation>
    </message>
    <message>
        <source>Report…</source>
        <translation>Informe…</translation>
    </message>
    <message>
        <source>Discard</source>
        <translation>Descartar</translation>
    </message>
    <message>
        <source>Back</source>
        <translation>Volver</translation>
    </message>
    <message>
        <source>This can&apos;t be saved now: {why}</source>
        <translation>Esto no se puede guardar ahora: {why}</translation>
    </message>
    <message>
        <source>Scan</source>
        <translation>Medición</translation>
    </message>
    <message>
        <source>For {name}. Choose another person at the top.</source>
        <translation>Para {name}. Elija a otra persona arriba.</translation>
    </message>
    <message>
        <source>For a guest. To keep results under a name, choose one at the top.</source>
        <translation>Para un invitado. Para guardar resultados con un nombre, elíjalo arriba.</translation>
    </message>
    <message>
        <source>A result that is not saved was hidden, because nobody was there. A new scan replaces it.</source>
        <translation>Se ocultó un resultado sin guardar, porque no había nadie. Una medición nueva lo reemplaza.</translation>
    </message>
    <message>
        <source>Measure your pulse with the camera</source>
        <translation>Mida su pulso con la cámara</translation>
    </message>
    <message>
        <source>Sit down and rest for a minute. Put a steady light in front of you, not behind.</source>
        <translation>Siéntese y descanse un minuto. Ponga una luz estable delante de usted, no detrás.</translation>
    </message>
    <message>
        <source>Bring your face into the outline, about an arm&apos;s length away, and take off a mask.</source>
        <translation>Ponga la cara dentro del contorno, más o menos a un brazo de distancia, y quítese la mascarilla si la lleva.</translation>
    </message>
    <message>
        <source>Hold still, do not talk, and breathe as usual. It takes about a minute.</source>
        <translation>No se mueva, no hable y respire como siempre. Tarda alrededor de un minuto.</translation>
    </message>
    <message>
        <source>Pictures are measured on this device and thrown away at once. Nothing is recorded.</source>
        <translation>Las imágenes se miden en este dispositivo y se desechan al instante. No se graba nada.</translation>
    </message>
    <message>
        <source>Start the scan</source>
        <translation>Iniciar la medición</translation>
    </message>
    <message>
        <source>beats per minute</source>
        <translation>latidos por minuto</translation>
    </message>
    <message>
        <source>Finish now</source>
        <translation>Terminar ahora</translation>
    </message>
    <message>
        <source>What to do now: {hint}</source>
        <translation>Qué hacer ahora: {hint}</translation>
    </message>
    <message>
        <source>Heart rate now: {rate}</source>
        <translation>Frecuencia cardíaca actual: {rate}</translation>
    </message>
    <message>
        <source>Assistant</source>
        <translation>Asistente</translation>
    </message>
    <message>
        <source>Ask</source>
        <translation>Preguntar</translation>
    </message>
    <message>
        <source>How you ask</source>
        <translation>Cómo pregunta</translation>
    </message>
    <message>
        <source>Read answers aloud</source>
        <translation>Respuestas en voz alta</translation>
    </message>
    <message>
        <source>Call staff</source>
        <translation>Avisar al personal</translation>
    </message>
    <message>
        <source>Forget this conversation…</source>
        <translation>Borrar esta conversación…</translation>
    </message>
    <message>
        <source>Try again</source>
        <translation>Intentar de nuevo</translation>
    </message>
    <message>
        <source>Ask again</source>
        <translation>Preguntar de nuevo</translation>
    </message>
    <message>
        <source>Nothing that you say or ask here is sent to the clinic until you agree to it.</source>
        <translation>Nada de lo que usted diga o pregunte aquí se envía a la clínica hasta que lo acepte.</translation>
    </message>
    <message>
        <source>Decide…</source>
        <translation>Decidir…</translation>
    </message>
    <message>
        <source>Settings</source>
        <translation>Ajustes</translation>
    </message>
    <message>
        <source>Health Helper {version}</source>
        <translation>Health Helper {version}</translation>
    </message>
    <message>
        <source>Show its picture</source>
        <translation>Mostrar su imagen</translation>
    </message>
    <message>
        <source>Language and look</source>
        <translation>Idioma y aspecto</translation>
    </message>
    <message>
        <source>Language</source>
        <translation>Idioma</translation>
    </message>
    <message>
        <source>Colours</source>
        <translation>Tema de color</translation>
    </message>
    <message>
        <source>As the system</source>
        <translation>Como el sistema</translation>
    </message>
    <message>
        <source>Light</source>
        <translation>Claro</translation>
    </message>
    <message>
        <source>Dark</source>
        <translation>Oscuro</translation>
    </message>
    <message>
        <source>Size of text</source>
        <translation>Tamaño del texto</translation>
    </message>
    <message>
        <source>Camera</source>
        <translation>Cámara</translation>
    </message>
    <message>
        <source>The first one</source>
        <translation>La primera</translation>
    </message>
    <message>
        <source>Good signal that a scan takes</source>
        <translation>Buena señal que requiere una medición</translation>
    </message>
    <message>
        <source>No camera was found. Plug one in and open this page again.</source>
        <translation>No se encontró ninguna cámara. Conecte una y abra esta página de nuevo.</translation>
    </message>
    <message>
        <source>Variability (RMSSD, SDNN) needs 60 s of good signal or more.</source>
        <translation>La variabilidad (RMSSD, SDNN) necesita 60 s o más de buena señal.</translation>
    </message>
    <message>
        <source>Reading aloud</source>
        <translation>Lectura en voz alta</translation>
    </message>
    <message>
        <source>What is kept on this device</source>
        <translation>Lo guardado en este dispositivo</translation>
    </message>
    <message>
        <source>Lock when nobody uses it</source>
        <translation>Bloquear cuando nadie lo usa</translation>
    </message>
    <message>
        <source>after {minutes} min</source>
        <translation>después de {minutes} min</translation>
    </message>
    <message>
        <source>never (a kiosk)</source>
        <translation>nunca (un quiosco)</translation>
    </message>
    <message>
        <source>New recovery key…</source>
        <translation>Nueva clave de recuperación…</translation>
    </message>
    <message>
        <source>Open with the recovery key…</source>
        <translation>Abrir con la clave de recuperación…</translation>
    </message>
    <message>
        <source>Begin a new store…</source>
        <translation>Empezar un almacén nuevo…</translation>
    </message>
    <message>
        <source>Open the store</source>
        <translation>Abrir el almacén de datos</translation>
    </message>
    <message>
        <source>Lock now</source>
        <translation>Bloquear ahora</translation>
    </message>
    <message>
        <source>Add a person…</source>
        <translation>Añadir una persona…</translation>
    </message>
    <message>
        <source>Choose a person by their record number…</source>
        <translation>Elegir a una persona por su número de historia clínica…</translation>
    </message>
    <message>
        <source>Rename the chosen person…</source>
        <translation>Cambiar el nombre de la persona elegida…</translation>
    </message>
    <message>
        <source>Delete the chosen person…</source>
        <translation>Eliminar a la persona elegida…</translation>
    </message>
    <message>
        <source>Clinic</source>
        <translation>Clínica</translation>
    </message>
    <message>
        <source>Enrol this device…</source>
        <translation>Registrar este dispositivo…</translation>
    </message>
    <message>
        <source>What is sent…</source>
        <translation>Qué se envía…</translation>
    </message>
    <message>
        <source>Sharing of the chosen person…</source>
        <translation>Compartir datos de la persona elegida…</translation>
    </message>
    <message>
        <source>Leave the clinic…</source>
        <translation>Dejar la clínica…</translation>
    </message>
    <message>
        <source>For staff</source>
        <translation>Para el personal</translation>
    </message>
    <message>
        <source>Readings to look at…</source>
        <translation>Lecturas por revisar…</translation>
    </message>
    <message>
        <source>Encrypted; its key is in this system&apos;s key store. People: {count}. Folder: {folder}</source>
        <translation>Cifrado; su clave está en el almacén de claves de este sistema. Personas: {count}. Carpeta: {folder}</translation>
    </message>
    <message>
        <source>Nobody has a recovery key on paper yet.</source>
        <translation>Todavía nadie tiene una clave de recuperación en papel.</translation>
    </message>
    <message>
        <source>The store is being opened …</source>
        <translation>Abriendo el almacén de datos …</translation>
    </message>
    <message>
        <source>The store is locked.</source>
        <translation>El almacén de datos está bloqueado.</translation>
    </message>
    <message>
        <source>Whether this device is enrolled is known once the store is open.</source>
        <translation>Cuando se abra el almacén de datos se sabrá si este dispositivo está registrado.</translation>
    </message>
    <message>
        <source>This device is enrolled with the clinic at {server}. What is kept of those who have agreed is sent there.</source>
        <translation>Este dispositivo está registrado en la clínica ({server}). Allí se envía lo guardado de quienes lo han aceptado.</translation>
    </message>
    <message>
        <source>This device is enrolled with no clinic. Nothing that is kept leaves it.</source>
        <translation>Este dispositivo no está registrado en ninguna clínica. Nada de lo guardado sale de él.</translation>
    </message>
    <message>
        <source>Enrol it anew…</source>
        <translation>Registrarlo de nuevo…</translation>
    </message>
    <message>
        <source>What has to be looked at is known once the store is open.</source>
        <translation>Cuando se abra el almacén de datos se sabrá qué hay que revisar.</translation>
    </message>
    <message>
        <source>Readings that somebody should look at: {count}.</source>
        <translation>Lecturas que alguien debería revisar: {count}.</translation>
    </message>
    <message>
        <source>Nothing has to be looked at.</source>
        <translation>No hay nada que revisar.</translation>
    </message>
    <message>
        <source>Hide its picture</source>
        <translation>Ocultar su imagen</translation>
    </message>
    <message>
        <source>Welcome</source>
        <translation>Bienvenida</translation>
    </message>
    <message>
        <source>Welcome to Health Helper</source>
        <translation>Le damos la bienvenida a Health Helper</translation>
    </message>
    <message>
        <source>What it does</source>
        <translation>Qué hace</translation>
    </message>
    <message>
        <source>It measures pulse, pulse-rate variability and breathing with the camera, on this device. Pictures are thrown away at once. Results are kept on this device only if you save them, encrypted.</source>
        <translation>Mide el pulso, la variabilidad de la frecuencia del pulso y la respiración con la cámara, en este dispositivo. Las imágenes se desechan al instante. Los resultados se conservan en este dispositivo, cifrados, solo si usted los guarda.</translation>
    </message>
    <message>
        <source>What it is not for</source>
        <translation>Para qué no debe usarse</translation>
    </message>
    <message>
        <source>Emergencies: chest pain, trouble breathing, signs of a stroke, thoughts of suicide. Call for help at once.</source>
        <translation>Emergencias: dolor en el pecho, dificultad para respirar, signos de un accidente cerebrovascular (ictus, derrame cerebral), pensamientos de suicidio. Pida ayuda de inmediato.</translation>
    </message>
    <message>
        <source>People under 18.</source>
        <translation>Personas menores de 18 años.</translation>
    </message>
    <message>
        <source>Decisions in pregnancy, and about medicines or treatment at any time.</source>
        <translation>Decisiones durante el embarazo, y sobre medicamentos o tratamientos en cualquier momento.</translation>
    </message>
    <message>
        <source>The camera</source>
        <translation>La cámara</translation>
    </message>
    <message>
        <source>I am 18 or older.</source>
        <translation>Tengo 18 años o más.</translation>
    </message>
    <message>
        <source>I have read what it is not for.</source>
        <translation>He leído para qué no debe usarse.</translation>
    </message>
    <message>
        <source>I agree that the camera is used to measure me during a scan.</source>
        <translation>Acepto que se use la cámara para medirme durante una medición.</translation>
    </message>
    <message>
        <source>Continue</source>
        <translation>Continuar</translation>
    </message>
    <message>
        <source>macOS asks once whether Health Helper may use the camera. To change it later: System Settings, Privacy &amp; Security, Camera.</source>
        <translation>macOS pregunta una vez si Health Helper puede usar la cámara. Para cambiarlo después: Ajustes del Sistema (o Configuración del Sistema), Privacidad y seguridad, Cámara.</translation>
    </message>
    <message>
        <source>Windows lets programs use the camera only if that is switched on: Settings, Privacy &amp; security, Camera, &quot;Let desktop apps access your camera&quot;.</source>
        <translation>Windows deja que los programas usen la cámara solo si está activado: Configuración, Privacidad y seguridad, Cámara, «Permitir que las aplicaciones de escritorio accedan a la cámara».</translation>
    </message>
    <message>
        <source>Linux does not ask before a program uses the camera: your account needs the permission, and on most systems it has it. If the camera can&apos;t be opened, ask an administrator to add your account to the group &quot;video&quot;.</source>
        <translation>Linux no pregunta antes de que un programa use la cámara: su cuenta necesita permiso, y en la mayoría de los sistemas lo tiene. Si no se puede abrir la cámara, pida a un administrador que añada su cuenta al grupo «video».</translation>
    </message>
    <message>
        <source>The store is locked</source>
        <translation>El almacén de datos está bloqueado</translation>
    </message>
    <message>
        <source>Unlock it and try again.</source>
        <translation>Desbloquéelo e inténtelo de nuevo.</translation>
    </message>
    <message>
        <source>This failed, by a bug of Health Helper&apos;s own</source>
        <translation>Esto no funcionó por un error propio de Health Helper</translation>
    </message>
    <message>
        <source>Try again; if it comes back, close the window and open it anew.</source>
        <translation>Inténtelo de nuevo; si vuelve a ocurrir, cierre la ventana y ábrala otra vez.</translation>
    </message>
    <message>
        <source>The settings could not be written; they hold until the window is closed.</source>
        <translation>No se pudieron guardar los ajustes; valen hasta que se cierre la ventana.</translation>
    </message>
    <message>
        <source>Go on, or, if it comes back, close the window and open it anew. Please report what is below; it names nobody.</source>
        <translation>Continúe o, si vuelve a ocurrir, cierre la ventana y ábrala otra vez. Por favor, comunique lo que aparece abajo; no nombra a nadie.</translation>
    </message>
    <message>
        <source>There is no display to show a window on</source>
        <translation>No hay ninguna pantalla en la que mostrar una ventana</translation>
    </message>
    <message>
        <source>Log in to a desktop, or measure in the terminal: health-helper scan.</source>
        <translation>Inicie sesión en un escritorio o mida en la terminal: health-helper scan.</translation>
    </message>
    <message>
        <source>Health Helper has met a bug of its own. Nothing that was saved is lost.</source>
        <translation>Health Helper ha encontrado un error propio. No se ha perdido nada de lo guardado.</translation>
    </message>
    <message>
        <source>Pulse</source>
        <translation>Pulso</translation>
    </message>
    <message>
        <source>Blood pressure (cuff)</source>
        <translation>Presión arterial (tensiómetro)</translation>
    </message>
    <message>
        <source>Upper (systolic)</source>
        <translation>Máxima (sistólica)</translation>
    </message>
    <message>
        <source>Lower (diastolic)</source>
        <translation>Mínima (diastólica)</translation>
    </message>
    <message>
        <source>Oximeter</source>
        <translation>Oxímetro</translation>
    </message>
    <message>
        <source>Oxygen saturation</source>
        <translation>Saturación de oxígeno</translation>
    </message>
    <message>
        <source>Thermometer</source>
        <translation>Termómetro</translation>
    </message>
    <message>
        <source>Temperature</source>
        <translation>Temperatura</translation>
    </message>
    <message>
        <source>Scales</source>
        <translation>Báscula</translation>
    </message>
    <message>
        <source>Weight</source>
        <translation>Peso</translation>
    </message>
    <message>
        <source>{title}: type a number.</source>
        <translation>{title}: escriba un número.</translation>
    </message>
    <message>
        <source>{title}: type a number from {least} to {most}.</source>
        <translation>{title}: escriba un número de {least} a {most}.</translation>
    </message>
    <message>
        <source>The lower number must be below the upper one.</source>
        <translation>La presión mínima debe ser menor que la máxima.</translation>
    </message>
    <message>
        <source>pulse {pulse}</source>
        <translation>pulso {pulse}</translation>
    </message>
    <message>
        <source>Heart rate, /min</source>
        <translation>Frecuencia cardíaca, /min</translation>
    </message>
    <message>
        <source>Breathing rate, /min</source>
        <translation>Frecuencia respiratoria, /min</translation>
    </message>
    <message>
        <source>Variability RMSSD, ms</source>
        <translation>Variabilidad RMSSD, ms</translation>
    </message>
    <message>
        <source>Variability SDNN, ms</source>
        <translation>Variabilidad SDNN, ms</translation>
    </message>
    <message>
        <source>7 days</source>
        <translation>7 días</translation>
    </message>
    <message>
        <source>30 days</source>
        <translation>30 días</translation>
    </message>
    <message>
        <source>1 year</source>
        <translation>1 año</translation>
    </message>
    <message>
        <source>All</source>
        <translation>Todo</translation>
    </message>
    <message>
        <source>typed in</source>
        <translation>introducido a mano</translation>
    </message>
    <message>
        <source>heart rate {rate} /min ({interval})</source>
        <translation>frecuencia cardíaca {rate} /min ({interval})</translation>
    </message>
    <message>
        <source>breathing {rate} /min</source>
        <translation>respiración {rate} /min</translation>
    </message>
    <message>
        <source>RMSSD {value} ms</source>
        <translation>RMSSD {value} ms</translation>
    </message>
    <message>
        <source>SDNN {value} ms</source>
        <translation>SDNN {value} ms</translation>
    </message>
    <message>
        <source>{title}: nothing to show yet</source>
        <translation>{title}: todavía no hay nada que mostrar</translation>
    </message>
    <message>
        <source>{title}: one scan, {value}</source>
        <translation>{title}: una medición, {value}</translation>
    </message>
    <message>
        <source>{title}: {count} scans, from {least} to {most}, the newest {newest}</source>
        <translation>{title}: {count} mediciones, de {least} a {most}, la más reciente {newest}</translation>
    </message>
    <message>
        <source>How often the heart beats. Moving, talking, excitement, warmth, coffee, fever and medicines change it.</source>
        <translation>Con qué frecuencia late el corazón. Cambia al moverse o hablar, y con las emociones, el calor, el café, la fiebre y los medicamentos.</translation>
    </message>
    <message>
        <source>How often you breathe. Talking, moving and attention to it change it.</source>
        <translation>Con qué frecuencia respira usted. Cambia al hablar, al moverse y al prestarle atención.</translation>
    </message>
    <message>
        <source>How much the time between two beats changes from beat to beat. It differs widely between people; age, rest, breathing and training change it. Compare it with your own earlier ones only.</source>
        <translation>Cuánto cambia, de un latido a otro, el tiempo entre dos latidos. Es muy distinta entre personas; cambia con la edad, el reposo, la respiración y el entrenamiento. Compárela solo con sus propios valores anteriores.</translation>
    </message>
    <message>
        <source>How much the time between beats varies over the whole scan. It grows with the length of the scan. Compare it with your own earlier ones only.</source>
        <translation>Cuánto varía el tiempo entre latidos en toda la medición. Aumenta con la duración de la medición. Compárela solo con sus propios valores anteriores.</translation>
    </message>
    <message>
        <source>Your heart rate is {rate} per minute</source>
        <translation>Su frecuencia cardíaca es de {rate} por minuto</translation>
    </message>
    <message>
        <source>{counted} s of {all} s counted. Confidence {percent} %.</source>
        <translation>{counted} s válidos de {all} s. Confianza: {percent} %.</translation>
    </message>
    <message>
        <source>No heart rate is shown</source>
        <translation>No se muestra la frecuencia cardíaca</translation>
    </message>
    <message>
        <source>Because {why}. {remedy}</source>
        <translation>Porque {why}. {remedy}</translation>
    </message>
    <message>
        <source>95 % interval {interval}</source>
        <translation>Intervalo del 95 %: {interval}</translation>
    </message>
    <message>
        <source>{interval}. Remark: {why}.</source>
        <translation>{interval}. Observación: {why}.</translation>
    </message>
    <message>
        <source>{interval}; less sure because {why}</source>
        <translation>{interval}; menos seguro porque {why}</translation>
    </message>
    <message>
        <source>To measure for longer: Settings, “{setting}”.</source>
        <translation>Para medir durante más tiempo: Ajustes, «{setting}».</translation>
    </message>
    <message>
        <source>Good. Hold still and breathe calmly.</source>
        <translation>Bien. No se mueva y respire con calma.</translation>
    </message>
    <message>
        <source>Starting</source>
        <translation>Iniciando</translation>
    </message>
    <message>
        <source>Find your place</source>
        <translation>Póngase en posición</translation>
    </message>
    <message>
        <source>Measuring</source>
        <translation>Midiendo</translation>
    </message>
    <message>
        <source>Paused</source>
        <translation>En pausa</translation>
    </message>
    <message>
        <source>Waiting for the camera</source>
        <translation>Esperando a la cámara</translation>
    </message>
    <message>
        <source>Almost done</source>
        <translation>Casi listo</translation>
    </message>
    <message>
        <source>Done</source>
        <translation>Listo</translation>
    </message>
    <message>
        <source>Not finished</source>
        <translation>Sin terminar</translation>
    </message>
    <message>
        <source>{seconds} s counted</source>
        <translation>{seconds} s válidos</translation>
    </message>
    <message>
        <source>{seconds} s left</source>
        <translation>{seconds} s restantes</translation>
    </message>
    <message>
        <source>{fps} pictures per second</source>
        <translation>{fps} imágenes por segundo</translation>
    </message>
    <message>
        <source>Message</source>
        <translation>Mensaje</translation>
    </message>
    <message>
        <source>What is sent</source>
        <translation>Qué se envía</translation>
    </message>
    <message>
        <source>Answer here only</source>
        <translation>Responder solo aquí</translation>
    </message>
    <message>
        <source>Send to the clinic</source>
        <translation>Enviar a la clínica</translation>
    </message>
    <message>
        <source>Source</source>
        <translation>Fuente</translation>
    </message>
    <message>
        <source>There is nothing more to be shown of this source.</source>
        <translation>No hay nada más que mostrar de esta fuente.</translation>
    </message>
    <message>
        <source>This article rests on:</source>
        <translation>Este artículo se basa en:</translation>
    </message>
    <message>
        <source>No clinician has reviewed it yet.</source>
        <translation>Todavía no lo ha revisado ningún profesional sanitario.</translation>
    </message>
    <message>
        <source>The whole article</source>
        <translation>El artículo entero</translation>
    </message>
    <message>
        <source>The passage</source>
        <translation>El pasaje</translation>
    </message>
    <message>
        <source>Close</source>
        <translation>Cerrar</translation>
    </message>
    <message>
        <source>Upper left corner</source>
        <translation>Esquina superior izquierda</translation>
    </message>
    <message>
        <source>Upper right corner</source>
        <translation>Esquina superior derecha</translation>
    </message>
    <message>
        <source>Lower right corner</source>
        <translation>Esquina inferior derecha</translation>
    </message>
    <message>
        <source>Lower left corner</source>
        <translation>Esquina inferior izquierda</translation>
    </message>
    <message>
        <source>Arrows move it; with Shift, in larger steps.</source>
        <translation>Las flechas la mueven; con Mayús, en pasos más grandes.</translation>
    </message>
    <message>
        <source>Camera picture</source>
        <translation>Imagen de la cámara</translation>
    </message>
    <message>
        <source>No picture yet</source>
        <translation>Todavía no hay imagen</translation>
    </message>
    <message>
        <source>Photograph a page</source>
        <translation>Fotografiar una página</translation>
    </message>
    <message>
        <source>The page as it will be kept</source>
        <translation>La página tal como se guardará</translation>
    </message>
    <message>
        <source>Again</source>
        <translation>Repetir</translation>
    </message>
    <message>
        <source>Use as it is</source>
        <translation>Usar tal como está</translation>
    </message>
    <message>
        <source>Take</source>
        <translation>Tomar foto</translation>
    </message>
    <message>
        <source>Use</source>
        <translation>Usar</translation>
    </message>
    <message>
        <source>Lay the page flat, in even light, and hold the camera so that it fills the picture.</source>
        <translation>Ponga la página plana, con luz uniforme, y sostenga la cámara de modo que la página llene la imagen.</translation>
    </message>
    <message>
        <source>No sheet was found. Move the corners to those of the sheet, or use the picture as it is.</source>
        <translation>No se encontró ninguna hoja. Mueva las esquinas hasta las de la hoja o use la imagen tal como está.</translation>
    </message>
    <message>
        <source>Is every word legible? The corners can be moved.</source>
        <translation>¿Se lee bien cada palabra? Las esquinas se pueden mover.</translation>
    </message>
    <message>
        <source>Look at the corners: they may be wrong. They can be moved.</source>
        <translation>Revise las esquinas: pueden estar mal. Se pueden mover.</translation>
    </message>
    <message>
        <source>The camera&apos;s picture is coarse: small print may not be legible.</source>
        <translation>La imagen de la cámara tiene poca resolución: es posible que la letra pequeña no se lea.</translation>
    </message>
    <message>
        <source>Progress of the scan</source>
        <translation>Progreso de la medición</translation>
    </message>
    <message>
        <source>Pages</source>
        <translation>Páginas</translation>
    </message>
    <message>
        <source>Who is measured</source>
        <translation>A quién se mide</translation>
    </message>
    <message>
        <source>Cancelled; nothing was kept.</source>
        <translation>Cancelado; no se ha guardado nada.</translation>
    </message>
    <message>
        <source>This document can&apos;t be shown here any more.</source>
        <translation>Este documento ya no se puede mostrar aquí.</translation>
    </message>
    <message>
        <source>No camera was found</source>
        <translation>No se encontró ninguna cámara</translation>
    </message>
    <message>
        <source>Plug in a camera, or switch it on, and try again.</source>
        <translation>Conecte o encienda una cámara e inténtelo de nuevo.</translation>
    </message>
    <message>
        <source>The result of the last scan is not saved. Throw it away, and begin a new scan?</source>
        <translation>El resultado de la última medición no se ha guardado. ¿Descartarlo y empezar una nueva medición?</translation>
    </message>
    <message>
        <source>Is this the result of {name}? It would be kept in their history.</source>
        <translation>¿Este resultado es de {name}? Se guardaría en su historial.</translation>
    </message>
    <message>
        <source>Whose result is this?</source>
        <translation>¿De quién es este resultado?</translation>
    </message>
    <message>
        <source>Yes, {name}</source>
        <translation>Sí, de {name}</translation>
    </message>
    <message>
        <source>Saved for {name}.</source>
        <translation>Guardado para {name}.</translation>
    </message>
    <message>
        <source>Nobody on this device has this record number. Nobody else was chosen.</source>
        <translation>Nadie en este dispositivo tiene este número de historia clínica. No se eligió a nadie más.</translation>
    </message>
    <message>
        <source>Find by record number…</source>
        <translation>Buscar por número de historia clínica…</translation>
    </message>
    <message>
        <source>It was sent: the clinic&apos;s copy is erased once this can&apos;t be put back any more.</source>
        <translation>Se había enviado: la copia de la clínica se borra en cuanto esto ya no se pueda recuperar.</translation>
    </message>
    <message>
        <source>It was sent: the clinic keeps its copy until all of this person is deleted for ever.</source>
        <translation>Se había enviado: la clínica conserva su copia hasta que se elimine para siempre todo lo de esta persona.</translation>
    </message>
    <message>
        <source>This was deleted before.</source>
        <translation>Esto ya se había eliminado.</translation>
    </message>
    <message>
        <source>The result is hidden, because nobody used this for {minutes} min.</source>
        <translation>El resultado está oculto, porque nadie usó esto durante {minutes} min.</translation>
    </message>
    <message>
        <source>The conversation was forgotten, because nobody used this for {minutes} min.</source>
        <translation>La conversación se borró, porque nadie usó esto durante {minutes} min.</translation>
    </message>
    <message>
        <source>Locked.</source>
        <translation>Bloqueado.</translation>
    </message>
    <message>
        <source>What was being typed or asked is closed; nothing of it was kept.</source>
        <translation>Lo que se estaba escribiendo o preguntando se cerró; no se guardó nada de ello.</translation>
    </message>
    <message>
        <source>Show it</source>
        <translation>Mostrarlo</translation>
    </message>
    <message>
        <source>Not saved</source>
        <translation>Sin guardar</translation>
    </message>
    <message>
        <source>Throw it away</source>
        <translation>Descartarlo</translation>
    </message>
    <message>
        <source>Drop files here, or choose them: PDF, JPEG or PNG.</source>
        <translation>Suelte archivos aquí o elíjalos: PDF, JPEG o PNG.</translation>
    </message>
    <message>
        <source>Place, time and camera are taken out of pictures. A PDF is kept as it is.</source>
        <translation>De las imágenes se quitan el lugar, la hora y la cámara. Un PDF se conserva tal como está.</translation>
    </message>
    <message>
        <source>Add files…</source>
        <translation>Añadir archivos…</translation>
    </message>
    <message>
        <source>Photograph a page…</source>
        <translation>Fotografiar una página…</translation>
    </message>
    <message>
        <source>Adding</source>
        <translation>Añadiendo</translation>
    </message>
    <message>
        <source>Progress of adding</source>
        <translation>Progreso de la adición</translation>
    </message>
    <message>
        <source>Not added</source>
        <translation>No añadido</translation>
    </message>
    <message>
        <source>Nothing is kept here yet.</source>
        <translation>Todavía no hay nada guardado aquí.</translation>
    </message>
    <message>
        <source>Documents, the newest first</source>
        <translation>Documentos, lo más reciente primero</translation>
    </message>
    <message>
        <source>At the clinic</source>
        <translation>En la clínica</translation>
    </message>
    <message>
        <source>Preview</source>
        <translation>Vista previa</translation>
    </message>
    <message>
        <source>Save a copy…</source>
        <translation>Guardar una copia…</translation>
    </message>
    <message>
        <source>Documents of {name}</source>
        <translation>Documentos de {name}</translation>
    </message>
    <message>
        <source>Add documents</source>
        <translation>Añadir documentos</translation>
    </message>
    <message>
        <source>Documents and pictures (*.pdf *.png *.jpg *.jpeg);;All files (*)</source>
        <translation>Documentos e imágenes (*.pdf *.png *.jpg *.jpeg);;Todos los archivos (*)</translation>
    </message>
    <message>
        <source>Photographed page {when}</source>
        <translation>Página fotografiada {when}</translation>
    </message>
    <message>
        <source>These are {count} files; at most {most} are added at once.</source>
        <translation>Son {count} archivos; como máximo se añaden {most} a la vez.</translation>
    </message>
    <message>
        <source>Something is being added already. Wait until that is done.</source>
        <translation>Ya se está añadiendo algo. Espere a que termine.</translation>
    </message>
    <message>
        <source>Somebody else was chosen meanwhile, so nothing was added. Add it again.</source>
        <translation>Entretanto se eligió a otra persona, así que no se añadió nada. Añádalo de nuevo.</translation>
    </message>
    <message>
        <source>Being cancelled …</source>
        <translation>Cancelando …</translation>
    </message>
    <message>
        <source>Adding {at} of {total} …</source>
        <translation>Añadiendo {at} de {total} …</translation>
    </message>
    <message>
        <source>Adding was cancelled.</source>
        <translation>Se canceló la adición.</translation>
    </message>
    <message>
        <source>1 document was added.</source>
        <translation>Se añadió 1 documento.</translation>
    </message>
    <message>
        <source>{count} documents were added.</source>
        <translation>Se añadieron {count} documentos.</translation>
    </message>
    <message>
        <source>Save a copy</source>
        <translation>Guardar una copia</translation>
    </message>
    <message>
        <source>The copy is not encrypted: whoever can open the folder can read it. Save it?</source>
        <translation>La copia no está cifrada: quien pueda abrir la carpeta podrá leerla. ¿Guardarla?</translation>
    </message>
    <message>
        <source>Choose where…</source>
        <translation>Elegir dónde…</translation>
    </message>
    <message>
        <source>Written: {name}, in the folder {folder}. It is not encrypted.</source>
        <translation>Archivo escrito: {name}, en la carpeta {folder}. No está cifrado.</translation>
    </message>
    <message>
        <source>Undo</source>
        <translation>Deshacer</translation>
    </message>
    <message>
        <source>Deleted.</source>
        <translation>Eliminado.</translation>
    </message>
    <message>
        <source>This can&apos;t be put back any more</source>
        <translation>Esto ya no se puede recuperar</translation>
    </message>
    <message>
        <source>Add it again from where it came from.</source>
        <translation>Añádalo de nuevo desde su origen.</translation>
    </message>
    <message>
        <source>Report (*.pdf);;Data (*.json)</source>
        <translation>Informe (*.pdf);;Datos (*.json)</translation>
    </message>
    <message>
        <source>Save the report of this scan</source>
        <translation>Guardar el informe de esta medición</translation>
    </message>
    <message>
        <source>Report written: {name}, in the folder {folder}</source>
        <translation>Informe escrito: {name}, en la carpeta {folder}</translation>
    </message>
    <message>
        <source>Everything, with documents (*.zip);;Table (*.csv);;Data (*.json);;For another system, FHIR (*.fhir.json);;Overview (*.pdf)</source>
        <translation>Todo, con documentos (*.zip);;Tabla (*.csv);;Datos (*.json);;Para otro sistema, FHIR (*.fhir.json);;Resumen (*.pdf)</translation>
    </message>
    <message>
        <source>Save all that is kept: {name}</source>
        <translation>Guardar todo lo conservado: {name}</translation>
    </message>
    <message>
        <source>Written: {name}, {count} kept, in the folder {folder}. It is not encrypted.</source>
        <translation>Archivo escrito: {name}, registros: {count}, en la carpeta {folder}. No está cifrado.</translation>
    </message>
    <message>
        <source>{name} is there already. Replace it?</source>
        <translation>{name} ya existe. ¿Reemplazarlo?</translation>
    </message>
    <message>
        <source>Replace</source>
        <translation>Reemplazar</translation>
    </message>
    <message>
        <source>Writing {name} …</source>
        <translation>Escribiendo {name} …</translation>
    </message>
    <message>
        <source>Choose a person at the top first; a guest has no name.</source>
        <translation>Elija primero a una persona arriba; un invitado no tiene nombre.</translation>
    </message>
    <message>
        <source>Choose a person at the top first; a guest can&apos;t be deleted.</source>
        <translation>Elija primero a una persona arriba; un invitado no se puede eliminar.</translation>
    </message>
    <message>
        <source>Delete a person</source>
        <translation>Eliminar a una persona</translation>
    </message>
    <message>
        <source>Delete {name}</source>
        <translation>Eliminar a {name}</translation>
    </message>
    <message>
        <source>{name} was deleted.</source>
        <translation>Se eliminó a {name}.</translation>
    </message>
    <message>
        <source>Delete {name} and all that is kept of them for ever? Nobody can put this back, and backups on this device lose it too.</source>
        <translation>¿Eliminar para siempre a {name} y todo lo guardado de esta persona? Nadie podrá recuperarlo, y también desaparece de las copias de seguridad de este dispositivo.</translation>
    </message>
    <message>
        <source>What was sent of them is erased in the clinic&apos;s cloud as soon as it can be reached.</source>
        <translation>Lo que se envió de esta persona se borra de la nube de la clínica en cuanto se pueda llegar a ella.</translation>
    </message>
    <message>
        <source>Delete for ever</source>
        <translation>Eliminar para siempre</translation>
    </message>
    <message>
        <source>Delete {name} for ever</source>
        <translation>Eliminar a {name} para siempre</translation>
    </message>
    <message>
        <source>{name} was deleted for ever.</source>
        <translation>Se eliminó a {name} para siempre.</translation>
    </message>
    <message>
        <source>This can&apos;t be put back: its person is deleted, or it was too long ago.</source>
        <translation>Esto no se puede recuperar: la persona está eliminada o pasó demasiado tiempo.</translation>
    </message>
    <message>
        <source>Nobody has a recovery key on paper yet. Without one, what is kept is lost with this computer&apos;s key store.</source>
        <translation>Todavía nadie tiene una clave de recuperación en papel. Sin ella, si se pierde el almacén de claves de este equipo, se pierde lo guardado.</translation>
    </message>
    <message>
        <source>Make one…</source>
        <translation>Crear una…</translation>
    </message>
    <message>
        <source>The recovery key is in force now, instead of any older one.</source>
        <translation>La clave de recuperación ya está en vigor y reemplaza a cualquier otra anterior.</translation>
    </message>
    <message>
        <source>The new recovery key is not in force: throw its paper away. An older one stays valid.</source>
        <translation>La nueva clave de recuperación no está en vigor: tire el papel. Una anterior sigue siendo válida.</translation>
    </message>
    <message>
        <source>Begin a new, empty store? Only where nobody has the recovery key any more, and this system&apos;s key store will not come back: what is kept now is then on no list, in no report, and what of it waits is not sent. Nothing of it is deleted: it is set aside, encrypted as it is, in a folder with the date of today, and its recovery key opens it should it be found.</source>
        <translation>¿Empezar un almacén nuevo y vacío? Solo si ya nadie tiene la clave de recuperación y el almacén de claves de este sistema no va a volver: lo que ahora se guarda no estará entonces en ninguna lista ni en ningún informe, y lo que de ello espera no se envía. No se borra nada: se aparta, cifrado como está, en una carpeta con la fecha de hoy, y su clave de recuperación lo abre si se encuentra.</translation>
    </message>
    <message>
        <source>Begin a new store</source>
        <translation>Empezar un almacén nuevo</translation>
    </message>
    <message>
        <source>Locked, because nobody used it for {minutes} min.</source>
        <translation>Bloqueado, porque nadie lo usó durante {minutes} min.</translation>
    </message>
    <message>
        <source>Unlock</source>
        <translation>Desbloquear</translation>
    </message>
    <message>
        <source>{name} was closed before its first picture</source>
        <translation>{name} se cerró antes de su primera imagen</translation>
    </message>
    <message>
        <source>Start again.</source>
        <translation>Empiece de nuevo.</translation>
    </message>
    <message>
        <source>{name} shows the same picture again and again</source>
        <translation>{name} muestra la misma imagen una y otra vez</translation>
    </message>
    <message>
        <source>Unfreeze the camera program, or plug the camera in again.</source>
        <translation>Reanude la imagen en el programa de la cámara o vuelva a conectar la cámara.</translation>
    </message>
    <message>
        <source>{name} has sent no picture for {seconds} s</source>
        <translation>{name} no ha enviado ninguna imagen en {seconds} s</translation>
    </message>
    <message>
        <source>Check its cable; the camera is opened again as soon as it is back.</source>
        <translation>Revise su cable; la cámara se abrirá de nuevo en cuanto vuelva.</translation>
    </message>
    <message>
        <source>The camera gives {rate} frames per second instead of {promised}: most cameras do in dim light, so give it more.</source>
        <translation>La cámara da {rate} fotogramas por segundo en lugar de {promised}: la mayoría lo hace con poca luz, así que ilumine más.</translation>
    </message>
    <message>
        <source>{name} sends pictures of {width}×{height} pixels, too small for a face</source>
        <translation>{name} envía imágenes de {width}×{height} píxeles, demasiado pequeñas para una cara</translation>
    </message>
    <message>
        <source>Set it to 640×480 in its own program, or use another camera.</source>
        <translation>Ajústela a 640×480 en su propio programa o use otra cámara.</translation>
    </message>
    <message>
        <source>{name} shows only black</source>
        <translation>{name} solo muestra negro</translation>
    </message>
    <message>
        <source>Take the cover off the lens, switch its privacy switch off, or make light; a program that holds the camera can be the cause too.</source>
        <translation>Quite la tapa del objetivo, desactive el interruptor de privacidad o encienda una luz; también puede deberse a un programa que tiene ocupada la cámara.</translation>
    </message>
    <message>
        <source>{name} did not answer within {seconds} s</source>
        <translation>{name} no respondió en {seconds} s</translation>
    </message>
    <message>
        <source>Plug the camera out and in again, then try again.</source>
        <translation>Desconecte la cámara, vuelva a conectarla e inténtelo de nuevo.</translation>
    </message>
    <message>
        <source>{name} was opened but sent no picture within {seconds} s</source>
        <translation>{name} se abrió, pero no envió ninguna imagen en {seconds} s</translation>
    </message>
    <message>
        <source>Close other programs that use it, and plug it directly into the computer, not into a hub.</source>
        <translation>Cierre otros programas que la usen y conéctela directamente al equipo, no a un concentrador USB.</translation>
    </message>
    <message>
        <source>The camera failed and was opened again ({count} ×).</source>
        <translation>La cámara falló y se volvió a abrir (veces: {count}).</translation>
    </message>
    <message>
        <source>{count} pictures were dropped because this computer was late.</source>
        <translation>Imágenes descartadas porque este equipo iba con retraso: {count}.</translation>
    </message>
    <message>
        <source>unknown format</source>
        <translation>formato desconocido</translation>
    </message>
    <message>
        <source>Camera: {size}, {format}.</source>
        <translation>Cámara: {size}, {format}.</translation>
    </message>
    <message>
        <source>Camera: {size}, {format}, {rate} frames per second promised.</source>
        <translation>Cámara: {size}, {format}, {rate} fotogramas por segundo prometidos.</translation>
    </message>
    <message>
        <source>Times are those of the grab: the driver&apos;s own stopped agreeing with the clock.</source>
        <translation>Los tiempos son los de la captura: los del controlador dejaron de coincidir con el reloj.</translation>
    </message>
    <message>
        <source>Times are the driver&apos;s own.</source>
        <translation>Los tiempos son los del propio controlador.</translation>
    </message>
    <message>
        <source>Times are those of the grab: the driver has none that can be used.</source>
        <translation>Los tiempos son los de la captura: el controlador no da ninguno que se pueda usar.</translation>
    </message>
    <message>
        <source>Exposure could not be locked: the picture changed its brightness when it was tried.</source>
        <translation>No se pudo bloquear la exposición: el brillo de la imagen cambió al intentarlo.</translation>
    </message>
    <message>
        <source>Exposure locked.</source>
        <translation>Exposición bloqueada.</translation>
    </message>
    <message>
        <source>Exposure could not be locked: the driver refused.</source>
        <translation>No se pudo bloquear la exposición: el controlador se negó.</translation>
    </message>
    <message>
        <source>Exposure could not be locked: the driver has no such control.</source>
        <translation>No se pudo bloquear la exposición: el controlador no tiene ese ajuste.</translation>
    </message>
    <message>
        <source>White balance locked.</source>
        <translation>Balance de blancos bloqueado.</translation>
    </message>
    <message>
        <source>White balance could not be locked: the driver refused.</source>
        <translation>No se pudo bloquear el balance de blancos: el controlador se negó.</translation>
    </message>
    <message>
        <source>White balance could not be locked: the driver has no such control.</source>
        <translation>No se pudo bloquear el balance de blancos: el controlador no tiene ese ajuste.</translation>
    </message>
    <message>
        <source>No camera is plugged in, or the system does not show it</source>
        <translation>No hay ninguna cámara conectada o el sistema no la muestra</translation>
    </message>
    <message>
        <source>Plug one in, or measure a file (--video), a stream (--url) or the demo (--demo).</source>
        <translation>Conecte una o mida un archivo (--video), una transmisión (--url) o la demostración (--demo).</translation>
    </message>
    <message>
        <source>There is no camera {name}</source>
        <translation>No existe la cámara {name}</translation>
    </message>
    <message>
        <source>Choose one of: {names} (health-helper cameras).</source>
        <translation>Elija una de estas: {names} (health-helper cameras).</translation>
    </message>
    <message>
        <source>{name} was unplugged</source>
        <translation>{name} se desconectó</translation>
    </message>
    <message>
        <source>Plug it in again.</source>
        <translation>Vuelva a conectarla.</translation>
    </message>
    <message>
        <source>You may not use {name}</source>
        <translation>No tiene permiso para usar {name}</translation>
    </message>
    <message>
        <source>Allow it: sudo usermod -aG video {user}, then log in again.</source>
        <translation>Permítalo: sudo usermod -aG video {user}, y vuelva a iniciar sesión.</translation>
    </message>
    <message>
        <source>{name} is used by {program}</source>
        <translation>{name} está en uso por {program}</translation>
    </message>
    <message>
        <source>Close that program, then try again.</source>
        <translation>Cierre ese programa e inténtelo de nuevo.</translation>
    </message>
    <message>
        <source>{name} cannot be opened</source>
        <translation>No se puede abrir {name}</translation>
    </message>
    <message>
        <source>Close other programs that use it (video calls, browsers), allow this terminal to use the camera in the system&apos;s privacy settings, then plug it in again.</source>
        <translation>Cierre otros programas que la usen (videollamadas, navegadores), permita a esta terminal usar la cámara en los ajustes de privacidad del sistema y vuelva a conectarla.</translation>
    </message>
    <message>
        <source>process {number}</source>
        <translation>proceso {number}</translation>
    </message>
    <message>
        <source>a web page</source>
        <translation>una página web</translation>
    </message>
    <message>
        <source>a single picture</source>
        <translation>una sola imagen</translation>
    </message>
    <message>
        <source>data without a type</source>
        <translation>datos sin tipo</translation>
    </message>
    <message>
        <source>something else</source>
        <translation>otra cosa</translation>
    </message>
    <message>
        <source>Check the camera and its network; the connection is tried again by itself.</source>
        <translation>Revise la cámara y su red; la conexión se reintenta sola.</translation>
    </message>
    <message>
        <source>{name} sends {what}, not an MJPEG stream</source>
        <translation>{name} envía {what}, no una transmisión MJPEG</translation>
    </message>
    <message>
        <source>Look up the address of the camera&apos;s MJPEG stream (multipart/x-mixed-replace) in its manual.</source>
        <translation>Busque en el manual de la cámara la dirección de su transmisión MJPEG (multipart/x-mixed-replace).</translation>
    </message>
    <message>
        <source>Choose a larger picture in the camera&apos;s settings, 640×480 for example.</source>
        <translation>Elija una imagen más grande en los ajustes de la cámara, por ejemplo 640×480.</translation>
    </message>
    <message>
        <source>{name} sends data that are no JPEG pictures ({count} could not be decoded)</source>
        <translation>{name} envía datos que no son imágenes JPEG (no se pudieron decodificar: {count})</translation>
    </message>
    <message>
        <source>Check the stream in a browser; restart the camera, or choose MJPEG in its settings.</source>
        <translation>Revise la transmisión en un navegador; reinicie la cámara o elija MJPEG en sus ajustes.</translation>
    </message>
    <message>
        <source>Take the cover off the lens, switch its privacy mode off, or give it light.</source>
        <translation>Quite la tapa del objetivo, desactive el modo de privacidad o dele luz.</translation>
    </message>
    <message>
        <source>{name} answered but sent no picture within {seconds} s</source>
        <translation>{name} respondió, pero no envió ninguna imagen en {seconds} s</translation>
    </message>
    <message>
        <source>Check that the camera is on and not used by others, then try again.</source>
        <translation>Compruebe que la cámara está encendida y que nadie más la usa, e inténtelo de nuevo.</translation>
    </message>
    <message>
        <source>{name} ended its stream before the first picture</source>
        <translation>{name} terminó su transmisión antes de la primera imagen</translation>
    </message>
    <message>
        <source>{count} pictures in the stream could not be decoded and were skipped.</source>
        <translation>Imágenes de la transmisión que no se pudieron decodificar y se omitieron: {count}.</translation>
    </message>
    <message>
        <source>The stream broke off; it was connected again ({count} ×).</source>
        <translation>La transmisión se interrumpió; se volvió a conectar (veces: {count}).</translation>
    </message>
    <message>
        <source>The stream broke off and did not come back within {seconds} s.</source>
        <translation>La transmisión se interrumpió y no volvió en {seconds} s.</translation>
    </message>
    <message>
        <source>Times are the stream&apos;s own (X-Timestamp).</source>
        <translation>Los tiempos son los de la propia transmisión (X-Timestamp).</translation>
    </message>
    <message>
        <source>Times are those of arrival: the stream&apos;s own (X-Timestamp) ran away from them by {seconds} s before that was certain.</source>
        <translation>Los tiempos son los de llegada: los de la transmisión (X-Timestamp) se apartaron de ellos {seconds} s antes de que eso fuera seguro.</translation>
    </message>
    <message>
        <source>Times are those of arrival: the stream&apos;s own (X-Timestamp) jumped.</source>
        <translation>Los tiempos son los de llegada: los de la transmisión (X-Timestamp) dieron un salto.</translation>
    </message>
    <message>
        <source>Times are those of arrival at this computer.</source>
        <translation>Los tiempos son los de llegada a este equipo.</translation>
    </message>
    <message>
        <source>Give an address like http://192.168.1.20:8080/video.</source>
        <translation>Indique una dirección como http://192.168.1.20:8080/video.</translation>
    </message>
    <message>
        <source>The address of the stream is not a URL</source>
        <translation>La dirección de la transmisión no es una URL</translation>
    </message>
    <message>
        <source>The address of the stream starts with {scheme}; only http:// and https:// can be read</source>
        <translation>La dirección de la transmisión empieza por {scheme}; solo se pueden leer http:// y https://</translation>
    </message>
    <message>
        <source>The address of the stream does not start with http:// or https://</source>
        <translation>La dirección de la transmisión no empieza por http:// ni por https://</translation>
    </message>
    <message>
        <source>The address of the stream names no computer</source>
        <translation>La dirección de la transmisión no indica ningún equipo</translation>
    </message>
    <message>
        <source>{name} asks for a user name and a password (401)</source>
        <translation>{name} pide un nombre de usuario y una contraseña (401)</translation>
    </message>
    <message>
        <source>Put the right ones into the address: http://user:password@host/….</source>
        <translation>Ponga el usuario y la contraseña correctos en la dirección: http://user:password@host/….</translation>
    </message>
    <message>
        <source>{name} refuses this user (403)</source>
        <translation>{name} rechaza a este usuario (403)</translation>
    </message>
    <message>
        <source>Use another user, or allow this one to see the stream in the camera&apos;s settings.</source>
        <translation>Use otro usuario o permita que este vea la transmisión, en los ajustes de la cámara.</translation>
    </message>
    <message>
        <source>{name} has no stream at this path ({status})</source>
        <translation>{name} no tiene ninguna transmisión en esta ruta ({status})</translation>
    </message>
    <message>
        <source>Look up the path of the MJPEG stream in the camera&apos;s manual.</source>
        <translation>Busque la ruta de la transmisión MJPEG en el manual de la cámara.</translation>
    </message>
    <message>
        <source>{name} says that the stream is elsewhere ({status})</source>
        <translation>{name} dice que la transmisión está en otro lugar ({status})</translation>
    </message>
    <message>
        <source>Open the address in a browser and use the one that it ends at.</source>
        <translation>Abra la dirección en un navegador y use la dirección a la que este llega al final.</translation>
    </message>
    <message>
        <source>{name} has a fault of its own ({status})</source>
        <translation>{name} tiene un fallo propio ({status})</translation>
    </message>
    <message>
        <source>Restart the camera, or wait until others stop using it.</source>
        <translation>Reinicie la cámara o espere a que otros dejen de usarla.</translation>
    </message>
    <message>
        <source>{name} answered with status {status} instead of a stream</source>
        <translation>{name} respondió con el estado {status} en lugar de una transmisión</translation>
    </message>
    <message>
        <source>Check the address.</source>
        <translation>Revise la dirección.</translation>
    </message>
    <message>
        <source>The certificate of {name} is not trusted</source>
        <translation>El certificado de {name} no es de confianza</translation>
    </message>
    <message>
        <source>Install the camera&apos;s certificate (or its authority&apos;s) on this computer, or use http://.</source>
        <translation>Instale en este equipo el certificado de la cámara (o el de su autoridad de certificación), o use http://.</translation>
    </message>
    <message>
        <source>{name} does not speak TLS as expected</source>
        <translation>{name} no se comunica por TLS como se esperaba</translation>
    </message>
    <message>
        <source>Check the port, or use http:// in the address.</source>
        <translation>Revise el puerto o use http:// en la dirección.</translation>
    </message>
    <message>
        <source>No computer named {name} is known</source>
        <translation>No se conoce ningún equipo con el nombre {name}</translation>
    </message>
    <message>
        <source>Check the spelling and the network.</source>
        <translation>Revise la ortografía y la red.</translation>
    </message>
    <message>
        <source>{name} refuses the connection</source>
        <translation>{name} rechaza la conexión</translation>
    </message>
    <message>
        <source>Check that the camera&apos;s stream is switched on and that the port is right.</source>
        <translation>Compruebe que la transmisión de la cámara está activada y que el puerto es correcto.</translation>
    </message>
    <message>
        <source>{name} broke off or does not speak HTTP</source>
        <translation>{name} cortó la conexión o no se comunica por HTTP</translation>
    </message>
    <message>
        <source>Check the port, and open the address in a browser.</source>
        <translation>Revise el puerto y abra la dirección en un navegador.</translation>
    </message>
    <message>
        <source>{name} cannot be reached</source>
        <translation>No se puede llegar a {name}</translation>
    </message>
    <message>
        <source>Check the network and the address.</source>
        <translation>Revise la red y la dirección.</translation>
    </message>
    <message>
        <source>{name} has no frames</source>
        <translation>{name} no tiene fotogramas</translation>
    </message>
    <message>
        <source>Ask the simulation for more than 0 s.</source>
        <translation>Pida a la simulación más de 0 s.</translation>
    </message>
    <message>
        <source>Simulated: no person was in front of a camera.</source>
        <translation>Simulado: no había ninguna persona delante de una cámara.</translation>
    </message>
    <message>
        <source>a still picture (PNG)</source>
        <translation>una imagen fija (PNG)</translation>
    </message>
    <message>
        <source>a still picture (JPEG)</source>
        <translation>una imagen fija (JPEG)</translation>
    </message>
    <message>
        <source>a PDF document</source>
        <translation>un documento PDF</translation>
    </message>
    <message>
        <source>a ZIP archive or an office document</source>
        <translation>un archivo ZIP o un documento ofimático</translation>
    </message>
    <message>
        <source>sound only (MP3)</source>
        <translation>solo sonido (MP3)</translation>
    </message>
    <message>
        <source>sound only (FLAC)</source>
        <translation>solo sonido (FLAC)</translation>
    </message>
    <message>
        <source>an Ogg file, most likely sound only</source>
        <translation>un archivo Ogg, probablemente solo sonido</translation>
    </message>
    <message>
        <source>Give a video file that a media player can play, for example an MP4 of your phone.</source>
        <translation>Indique un archivo de video que un reproductor pueda reproducir, por ejemplo un MP4 de su teléfono.</translation>
    </message>
    <message>
        <source>{name} holds sound but no picture</source>
        <translation>{name} contiene sonido, pero no imagen</translation>
    </message>
    <message>
        <source>{name} breaks off before anything in it can be decoded</source>
        <translation>{name} se interrumpe antes de que se pueda decodificar algo</translation>
    </message>
    <message>
        <source>Copy or record the file again; it was not written to its end.</source>
        <translation>Copie o grabe el archivo de nuevo; no se escribió hasta el final.</translation>
    </message>
    <message>
        <source>{name} is not a video that can be decoded</source>
        <translation>{name} no es un video que se pueda decodificar</translation>
    </message>
    <message>
        <source>{name} has pictures of {width}×{height} pixels, more than can be handled</source>
        <translation>{name} tiene imágenes de {width}×{height} píxeles, más de lo que se puede procesar</translation>
    </message>
    <message>
        <source>Scale the video down to 4K or less; a face needs only a few hundred pixels.</source>
        <translation>Reduzca el video a 4K o menos; una cara solo necesita unos cientos de píxeles.</translation>
    </message>
    <message>
        <source>{name} holds no frame that can be decoded</source>
        <translation>{name} no contiene ningún fotograma que se pueda decodificar</translation>
    </message>
    <message>
        <source>Copy or record the file again, or convert it to H.264 in an MP4.</source>
        <translation>Copie o grabe el archivo de nuevo, o conviértalo a H.264 en un MP4.</translation>
    </message>
    <message>
        <source>{name} has pictures of {width}×{height} pixels, too small for a face</source>
        <translation>{name} tiene imágenes de {width}×{height} píxeles, demasiado pequeñas para una cara</translation>
    </message>
    <message>
        <source>Give a larger video; a face needs some hundred pixels.</source>
        <translation>Use un video más grande; una cara necesita unos cientos de píxeles.</translation>
    </message>
    <message>
        <source>{name} says nothing about when its frames were taken</source>
        <translation>{name} no indica cuándo se tomaron sus fotogramas</translation>
    </message>
    <message>
        <source>Record again with a program that stores times, or convert the file to MP4 or Matroska.</source>
        <translation>Grabe de nuevo con un programa que guarde los tiempos, o convierta el archivo a MP4 o Matroska.</translation>
    </message>
    <message>
        <source>{percent} % of the frames are copies of the one before: pictures were taken about {taken} times per second, not {rate}.</source>
        <translation>El {percent} % de los fotogramas son copias del anterior: se tomaron unas {taken} imágenes por segundo, no {rate}.</translation>
    </message>
    <message>
        <source>The file breaks off ({count} bytes are missing): only what is there is measured.</source>
        <translation>El archivo se interrumpe (bytes que faltan: {count}): solo se mide lo que hay.</translation>
    </message>
    <message>
        <source>An AVI file stores no time per frame: times follow the one rate in its header.</source>
        <translation>Un archivo AVI no guarda el tiempo de cada fotograma: los tiempos siguen la única frecuencia de su cabecera.</translation>
    </message>
    <message>
        <source>The header says {header} frames per second, the times of the frames say {mean}; the times are used.</source>
        <translation>La cabecera indica {header} fotogramas por segundo; los tiempos de los fotogramas, {mean}. Se usan los tiempos.</translation>
    </message>
    <message>
        <source>The header lists {listed} frames, {shown} can be shown ({percent} % fewer): the file was cut or re-timed after it was recorded, so the frame rate in its header cannot be trusted.</source>
        <translation>La cabecera indica {listed} fotogramas, se pueden mostrar {shown} ({percent} % menos): el archivo se recortó o se cambiaron sus tiempos después de grabarlo, así que no se puede confiar en la frecuencia de fotogramas de su cabecera.</translation>
    </message>
    <message>
        <source>The header lists {listed} frames, {shown} can be shown ({percent} % more): the file was cut or re-timed after it was recorded, so the frame rate in its header cannot be trusted.</source>
        <translation>La cabecera indica {listed} fotogramas, se pueden mostrar {shown} ({percent} % más): el archivo se recortó o se cambiaron sus tiempos después de grabarlo, así que no se puede confiar en la frecuencia de fotogramas de su cabecera.</translation>
    </message>
    <message>
        <source>{count} of {all} frames carry no time of their own; the usual distance between frames was put in.</source>
        <translation>Fotogramas sin tiempo propio: {count} de {all}; se puso la distancia habitual entre fotogramas.</translation>
    </message>
    <message>
        <source>The times in the file jump back ({count} ×); they were joined end to end.</source>
        <translation>Los tiempos del archivo saltan hacia atrás (veces: {count}); se unieron uno a continuación del otro.</translation>
    </message>
    <message>
        <source>The times in the file jump ahead by more than {seconds} s ({count} ×); they were joined end to end.</source>
        <translation>Los tiempos del archivo saltan hacia delante más de {seconds} s (veces: {count}); se unieron uno a continuación del otro.</translation>
    </message>
    <message>
        <source>{name} has a name, or lies in a folder, whose letters are not UTF-8</source>
        <translation>{name} tiene un nombre, o está en una carpeta, cuyas letras no son UTF-8</translation>
    </message>
    <message>
        <source>Rename it, for example to scan.mp4.</source>
        <translation>Cámbiele el nombre, por ejemplo a scan.mp4.</translation>
    </message>
    <message>
        <source>Name the video file inside it.</source>
        <translation>Indique el archivo de video que está dentro.</translation>
    </message>
    <message>
        <source>{name} is not an ordinary file</source>
        <translation>{name} no es un archivo normal</translation>
    </message>
    <message>
        <source>Copy or record the file again.</source>
        <translation>Copie o grabe el archivo de nuevo.</translation>
    </message>
    <message>
        <source>{name} is empty</source>
        <translation>{name} está vacío</translation>
    </message>
    <message>
        <source>Check the path of the video file.</source>
        <translation>Revise la ruta del archivo de video.</translation>
    </message>
    <message>
        <source>{name} does not exist</source>
        <translation>{name} no existe</translation>
    </message>
    <message>
        <source>{name} may not be read</source>
        <translation>No se permite leer {name}</translation>
    </message>
    <message>
        <source>Give your user the right to read the file, or copy it.</source>
        <translation>Dé a su usuario permiso para leer el archivo o haga una copia.</translation>
    </message>
    <message>
        <source>{name} cannot be read ({why})</source>
        <translation>No se puede leer {name} ({why})</translation>
    </message>
    <message>
        <source>Check the disk, or copy the file elsewhere.</source>
        <translation>Revise el disco o copie el archivo a otro lugar.</translation>
    </message>
    <message>
        <source>sound only (WAV)</source>
        <translation>solo sonido (WAV)</translation>
    </message>
    <message>
        <source>a text file</source>
        <translation>un archivo de texto</translation>
    </message>
    <message>
        <source>{name} is {what}, not a video</source>
        <translation>{name} es {what}, no un video</translation>
    </message>
    <message>
        <source>Stopped before the end</source>
        <translation>Detenido antes del final</translation>
    </message>
    <message>
        <source>Nothing was kept; start the scan again.</source>
        <translation>No se guardó nada; inicie la medición de nuevo.</translation>
    </message>
    <message>
        <source>The source opened but sent no picture</source>
        <translation>La fuente se abrió, pero no envió ninguna imagen</translation>
    </message>
    <message>
        <source>Check the cable or the network, close other programs that use the camera, then try again.</source>
        <translation>Revise el cable o la red, cierre otros programas que usen la cámara e inténtelo de nuevo.</translation>
    </message>
    <message>
        <source>The store on this device is damaged, so nothing can be kept or shown from it</source>
        <translation>El almacén de datos de este dispositivo está dañado, así que no se puede guardar nada en él ni mostrar nada de él</translation>
    </message>
    <message>
        <source>Close Health Helper and open it again: it then puts the store together again from its backup. The damaged file is kept.</source>
        <translation>Cierre Health Helper y ábralo de nuevo: entonces recompone el almacén de datos a partir de su copia de seguridad. El archivo dañado se conserva.</translation>
    </message>
    <message>
        <source>The store on this device was locked with another key than the one in this system&apos;s key store</source>
        <translation>El almacén de datos de este dispositivo se bloqueó con una clave distinta de la que está en el almacén de claves de este sistema</translation>
    </message>
    <message>
        <source>Open it with its recovery key: health-helper recovery-key --restore. Nothing was changed.</source>
        <translation>Ábralo con su clave de recuperación: health-helper recovery-key --restore. No se cambió nada.</translation>
    </message>
    <message>
        <source>The store on this device was written by a newer version of Health Helper</source>
        <translation>Una versión más nueva de Health Helper escribió el almacén de datos de este dispositivo</translation>
    </message>
    <message>
        <source>Install that version again, or a later one. Nothing was changed.</source>
        <translation>Instale de nuevo esa versión o una posterior. No se cambió nada.</translation>
    </message>
    <message>
        <source>The store on this device may not be written to</source>
        <translation>No se permite escribir en el almacén de datos de este dispositivo</translation>
    </message>
    <message>
        <source>Give yourself the right to write in its folder, or free it from another program, and try again.</source>
        <translation>Dese permiso para escribir en su carpeta, o libérelo de otro programa, e inténtelo de nuevo.</translation>
    </message>
    <message>
        <source>The disk is full, so this was not kept</source>
        <translation>El disco está lleno, así que esto no se guardó</translation>
    </message>
    <message>
        <source>Free some space and save again; what was kept before is safe.</source>
        <translation>Libere espacio y guarde de nuevo; lo guardado antes está a salvo.</translation>
    </message>
    <message>
        <source>Another program is using the store on this device</source>
        <translation>Otro programa está usando el almacén de datos de este dispositivo</translation>
    </message>
    <message>
        <source>Close the other window of Health Helper and try again.</source>
        <translation>Cierre la otra ventana de Health Helper e inténtelo de nuevo.</translation>
    </message>
    <message>
        <source>Another program has renewed the store on this device, so this was not kept</source>
        <translation>Otro programa ha renovado el almacén de datos de este dispositivo, así que esto no se guardó</translation>
    </message>
    <message>
        <source>Close Health Helper, open it again and save again.</source>
        <translation>Cierre Health Helper, ábralo de nuevo y guarde otra vez.</translation>
    </message>
    <message>
        <source>The store on this device was closed meanwhile, so nothing more can be kept or shown from it</source>
        <translation>El almacén de este dispositivo se cerró entretanto, así que ya no se puede guardar ni mostrar nada de él</translation>
    </message>
    <message>
        <source>Open it again and do this once more; what was kept before is safe.</source>
        <translation>Ábralo de nuevo y repita esto; lo que se guardó antes está a salvo.</translation>
    </message>
    <message>
        <source>The store on this device could not be read or written ({kind})</source>
        <translation>No se pudo leer o escribir el almacén de datos de este dispositivo ({kind})</translation>
    </message>
    <message>
        <source>Check the disk and the rights of its folder and try again.</source>
        <translation>Revise el disco y los permisos de su carpeta e inténtelo de nuevo.</translation>
    </message>
    <message>
        <source>The library of the encrypted store (sqlcipher3) cannot be loaded</source>
        <translation>No se puede cargar la biblioteca del almacén de datos cifrado (sqlcipher3)</translation>
    </message>
    <message>
        <source>mmHg</source>
        <translation>mmHg</translation>
    </message>
    <message>
        <source>%</source>
        <translation>%</translation>
    </message>
    <message>
        <source>°C</source>
        <translation>°C</translation>
    </message>
    <message>
        <source>kg</source>
        <translation>kg</translation>
    </message>
    <message>
        <source>This was kept by another version of Health Helper and cannot be shown by this one</source>
        <translation>Esto lo guardó otra versión de Health Helper y esta no puede mostrarlo</translation>
    </message>
    <message>
        <source>This was kept by another version of Health Helper and cannot be sent by this one</source>
        <translation>Esto lo guardó otra versión de Health Helper y esta no puede enviarlo</translation>
    </message>
    <message>
        <source>Install the newest version; nothing is lost.</source>
        <translation>Instale la versión más reciente; no se ha perdido nada.</translation>
    </message>
    <message>
        <source>This name can&apos;t be used</source>
        <translation>Este nombre no se puede usar</translation>
    </message>
    <message>
        <source>A name needs a letter at least</source>
        <translation>Un nombre necesita al menos una letra</translation>
    </message>
    <message>
        <source>Give one of 1 to {most} letters.</source>
        <translation>Escriba uno de 1 a {most} letras.</translation>
    </message>
    <message>
        <source>There is already somebody of this name</source>
        <translation>Ya hay una persona con este nombre</translation>
    </message>
    <message>
        <source>Add an initial or a nickname, so that nothing is saved under the wrong person.</source>
        <translation>Añada una inicial o un apodo, para que nada se guarde con la persona equivocada.</translation>
    </message>
    <message>
        <source>This record number can&apos;t be used</source>
        <translation>Este número de historia clínica no se puede usar</translation>
    </message>
    <message>
        <source>Type or scan one of 1 to {most} signs.</source>
        <translation>Escriba o escanee uno de 1 a {most} signos.</translation>
    </message>
    <message>
        <source>There is already somebody with this record number</source>
        <translation>Ya hay una persona con este número de historia clínica</translation>
    </message>
    <message>
        <source>Choose that person, or check the number.</source>
        <translation>Elija a esa persona o revise el número.</translation>
    </message>
    <message>
        <source>This person is not on this device</source>
        <translation>Esta persona no está en este dispositivo</translation>
    </message>
    <message>
        <source>Choose another one.</source>
        <translation>Elija a otra.</translation>
    </message>
    <message>
        <source>The store on this device is missing its database</source>
        <translation>Al almacén de datos de este dispositivo le falta su base de datos</translation>
    </message>
    <message>
        <source>Put back a backup of its whole folder. To start a new store instead, remove the file {name} from it.</source>
        <translation>Restaure una copia de seguridad de toda su carpeta. Si prefiere empezar un almacén de datos nuevo, quite de ella el archivo {name}.</translation>
    </message>
    <message>
        <source>A new store has been begun. The older one, which could not be opened, is kept as it was in the folder {name}.</source>
        <translation>Se ha empezado un almacén nuevo. El anterior, que no se pudo abrir, se conserva tal como estaba en la carpeta {name}.</translation>
    </message>
    <message>
        <source>Nothing is kept on this device yet.</source>
        <translation>Todavía no hay nada guardado en este dispositivo.</translation>
    </message>
    <message>
        <source>Database: every page is whole.</source>
        <translation>Base de datos: todas sus páginas están en buen estado.</translation>
    </message>
    <message>
        <source>Backups: {number} were damaged and have been removed.</source>
        <translation>Copias de seguridad: {number} estaban dañadas y se han quitado.</translation>
    </message>
    <message>
        <source>Journal: it was damaged; it has been begun anew.</source>
        <translation>Diario: estaba dañado; se ha empezado de nuevo.</translation>
    </message>
    <message>
        <source>A new backup has been made.</source>
        <translation>Se ha hecho una nueva copia de seguridad.</translation>
    </message>
    <message>
        <source>Backups and journal: whole.</source>
        <translation>Copias de seguridad y diario: en buen estado.</translation>
    </message>
    <message>
        <source>Documents: {number} can&apos;t be read any more: {names}. Add them again.</source>
        <translation>Documentos: {number} ya no se pueden leer: {names}. Añádalos de nuevo.</translation>
    </message>
    <message>
        <source>The store was damaged and has been put together again from its backup; nothing is lost. The damaged file is kept as {name}.</source>
        <translation>El almacén de datos estaba dañado y se ha recompuesto a partir de su copia de seguridad; no se ha perdido nada. El archivo dañado se conserva como {name}.</translation>
    </message>
    <message>
        <source>The store was damaged, and so was its backup. What could be read has been put together again; look through what is missing. The damaged file is kept as {name}.</source>
        <translation>El almacén de datos estaba dañado, y su copia de seguridad también. Se ha recompuesto con lo que se pudo leer; revise qué falta. El archivo dañado se conserva como {name}.</translation>
    </message>
    <message>
        <source>There is no store with a recovery key in this folder ({names})</source>
        <translation>En esta carpeta no hay ningún almacén de datos con clave de recuperación ({names})</translation>
    </message>
    <message>
        <source>Copy the whole folder from the backup or the old computer and try again.</source>
        <translation>Copie toda la carpeta desde la copia de seguridad o el equipo anterior e inténtelo de nuevo.</translation>
    </message>
    <message>
        <source>an entry that is not ours</source>
        <translation>una entrada que no es de esta aplicación</translation>
    </message>
    <message>
        <source>A recovery key has {wanted} letters and digits, and this has {found}</source>
        <translation>Una clave de recuperación tiene {wanted} letras y cifras, y esta tiene {found}</translation>
    </message>
    <message>
        <source>This has signs that are in no recovery key</source>
        <translation>Aquí hay signos que no aparecen en ninguna clave de recuperación</translation>
    </message>
    <message>
        <source>Type it as it is printed, with or without the hyphens.</source>
        <translation>Escríbala tal como está impresa, con o sin los guiones.</translation>
    </message>
    <message>
        <source>This recovery key has a typing mistake</source>
        <translation>Esta clave de recuperación tiene un error de escritura</translation>
    </message>
    <message>
        <source>Compare it with the printed one, letter by letter.</source>
        <translation>Compárela con la impresa, letra por letra.</translation>
    </message>
    <message>
        <source>This recovery key does not belong to this store</source>
        <translation>Esta clave de recuperación no corresponde a este almacén de datos</translation>
    </message>
    <message>
        <source>Look for the one that was printed last when this store was in use.</source>
        <translation>Busque la última que se imprimió cuando se usaba este almacén de datos.</translation>
    </message>
    <message>
        <source>The recovery file was written by another version of Health Helper</source>
        <translation>El archivo de recuperación lo escribió otra versión de Health Helper</translation>
    </message>
    <message>
        <source>Install the newest version and try again.</source>
        <translation>Instale la versión más reciente e inténtelo de nuevo.</translation>
    </message>
    <message>
        <source>The recovery file beside the store is damaged</source>
        <translation>El archivo de recuperación que está junto al almacén de datos está dañado</translation>
    </message>
    <message>
        <source>Take it from a backup: without it the recovery key opens nothing.</source>
        <translation>Tómelo de una copia de seguridad: sin él, la clave de recuperación no abre nada.</translation>
    </message>
    <message>
        <source>This system has no key store, so nothing can be kept</source>
        <translation>Este sistema no tiene almacén de claves, así que no se puede guardar nada</translation>
    </message>
    <message>
        <source>Start one (GNOME Keyring, KWallet) and try again. You can measure meanwhile and save a copy of the report.</source>
        <translation>Inicie uno (GNOME Keyring, KWallet) e inténtelo de nuevo. Mientras tanto, puede medir y guardar una copia del informe.</translation>
    </message>
    <message>
        <source>The key store of this system is locked, so nothing can be kept</source>
        <translation>El almacén de claves de este sistema está bloqueado, así que no se puede guardar nada</translation>
    </message>
    <message>
        <source>Unlock it (log in to the desktop) and try again. You can measure meanwhile and save a copy of the report.</source>
        <translation>Desbloquéelo (inicie sesión en el escritorio) e inténtelo de nuevo. Mientras tanto, puede medir y guardar una copia del informe.</translation>
    </message>
    <message>
        <source>The key store of this system fails ({kind})</source>
        <translation>El almacén de claves de este sistema falla ({kind})</translation>
    </message>
    <message>
        <source>Run &apos;health-helper doctor&apos;. You can measure meanwhile and save a copy of the report.</source>
        <translation>Ejecute &apos;health-helper doctor&apos;. Mientras tanto, puede medir y guardar una copia del informe.</translation>
    </message>
    <message>
        <source>it does not give back what it was told</source>
        <translation>no devuelve lo que se le entregó</translation>
    </message>
    <message>
        <source>finds the face in a picture</source>
        <translation>encuentra la cara en una imagen</translation>
    </message>
    <message>
        <source>the licence text that must travel with every copy of face_rfb_320</source>
        <translation>el texto de la licencia que debe acompañar a cada copia de face_rfb_320</translation>
    </message>
    <message>
        <source>hears whether somebody speaks</source>
        <translation>oye si alguien habla</translation>
    </message>
    <message>
        <source>the licence text that must travel with every copy of speech_silero</source>
        <translation>el texto de licencia que debe acompañar a cada copia de speech_silero</translation>
    </message>
    <message>
        <source>the face of the simulated person (demo and tests)</source>
        <translation>la cara de la persona simulada (demostración y pruebas)</translation>
    </message>
    <message>
        <source>the letters of the report, Latin and Arabic</source>
        <translation>las letras del informe, latinas y árabes</translation>
    </message>
    <message>
        <source>the bold letters of the report, Latin and Arabic</source>
        <translation>las letras en negrita del informe, latinas y árabes</translation>
    </message>
    <message>
        <source>the licence text that must travel with every copy of the report&apos;s fonts</source>
        <translation>el texto de la licencia que debe acompañar a cada copia de las fuentes del informe</translation>
    </message>
    <message>
        <source>The list of weights (MODELS.toml) cannot be read ({kind})</source>
        <translation>No se puede leer la lista de archivos del modelo (MODELS.toml) ({kind})</translation>
    </message>
    <message>
        <source>Restore it from the repository or install Health Helper again.</source>
        <translation>Restaure el archivo desde el repositorio o instale Health Helper de nuevo.</translation>
    </message>
    <message>
        <source>{name} ({purpose}) is missing</source>
        <translation>Falta {name} ({purpose})</translation>
    </message>
    <message>
        <source>{name} ({purpose}) is not the listed one and is refused</source>
        <translation>{name} ({purpose}) no es el de la lista y se rechaza</translation>
    </message>
    <message>
        <source>{name} ({purpose}) cannot be read</source>
        <translation>No se puede leer {name} ({purpose})</translation>
    </message>
    <message>
        <source>There is nobody of this name on this device</source>
        <translation>No hay nadie con este nombre en este dispositivo</translation>
    </message>
    <message>
        <source>Add them first: health-helper people --add &quot;NAME&quot;.</source>
        <translation>Añada antes a esa persona: health-helper people --add &quot;NOMBRE&quot;.</translation>
    </message>
    <message>
        <source>This has to be confirmed, and nobody can be asked here</source>
        <translation>Esto hay que confirmarlo, y aquí no se puede preguntar a nadie</translation>
    </message>
    <message>
        <source>Run it in a terminal, or add --yes. Everything is as it was before.</source>
        <translation>Ejecútelo en un terminal, o añada --yes. Todo está como antes.</translation>
    </message>
    <message>
        <source>Nobody on this device has this record number</source>
        <translation>Nadie en este dispositivo tiene este número de historia</translation>
    </message>
    <message>
        <source>Nothing was done. Check the number, and for whom this is.</source>
        <translation>No se hizo nada. Compruebe el número y para quién es.</translation>
    </message>
    <message>
        <source>This record number belongs to somebody else on this device</source>
        <translation>Este número de historia es de otra persona de este dispositivo</translation>
    </message>
    <message>
        <source>On this computer a person&apos;s record number has to be read back first</source>
        <translation>En este equipo hay que leer antes el número de historia de la persona</translation>
    </message>
    <message>
        <source>Add --confirm-record-number N, or run it in a terminal. Nothing was done.</source>
        <translation>Añada --confirm-record-number N, o ejecútelo en un terminal. No se hizo nada.</translation>
    </message>
    <message>
        <source>Nothing was done</source>
        <translation>No se hizo nada</translation>
    </message>
    <message>
        <source>Everything is as it was before.</source>
        <translation>Todo está como antes.</translation>
    </message>
    <message>
        <source>This device is not enrolled with a clinic, so nothing can be sent</source>
        <translation>Este dispositivo no está registrado en ninguna clínica, así que no se puede enviar nada</translation>
    </message>
    <message>
        <source>It is not clear whether they agree</source>
        <translation>No está claro si esta persona acepta</translation>
    </message>
    <message>
        <source>Say yes or no: people --share NAME yes.</source>
        <translation>Indique sí o no: people --share NOMBRE yes.</translation>
    </message>
    <message>
        <source>These options do not go together</source>
        <translation>Estas opciones no se pueden combinar</translation>
    </message>
    <message>
        <source>Give one of --add, --rename, --person, --delete, --share, --share-assistant and --send-earlier; --record-number goes with --add and --person, --forever with --delete, --yes with --delete, --share and --share-assistant, --confirm-record-number with --share, --share-assistant and --send-earlier.</source>
        <translation>Dé una de --add, --rename, --person, --delete, --share, --share-assistant y --send-earlier; --record-number va con --add y --person, --forever con --delete, --yes con --delete, --share y --share-assistant, --confirm-record-number con --share, --share-assistant y --send-earlier.</translation>
    </message>
    <message>
        <source>This person has not agreed that anything is sent</source>
        <translation>Esta persona no ha aceptado que se envíe nada</translation>
    </message>
    <message>
        <source>Ask them first: people --share NAME yes.</source>
        <translation>Pregúntele antes: people --share NOMBRE yes.</translation>
    </message>
    <message>
        <source>A guest has no record at a clinic, so nothing can be sent to its FHIR server</source>
        <translation>Un invitado no tiene historia clínica en una clínica, así que no se puede enviar nada a su servidor FHIR</translation>
    </message>
    <message>
        <source>Say whose it is: --person NAME.</source>
        <translation>Diga de quién es: --person NOMBRE.</translation>
    </message>
    <message>
        <source>This person has not agreed that what is kept of them is sent to the clinic</source>
        <translation>Esta persona no ha aceptado que lo que se guarda de ella se envíe a la clínica</translation>
    </message>
    <message>
        <source>Ask them, then: health-helper people --share NAME yes.</source>
        <translation>Pregúntele y después: health-helper people --share NOMBRE yes.</translation>
    </message>
    <message>
        <source>--id and --person are two ways to choose a scan</source>
        <translation>--id y --person son dos formas de elegir una medición</translation>
    </message>
    <message>
        <source>Give one of them.</source>
        <translation>Indique solo una.</translation>
    </message>
    <message>
        <source>There is no such scan on this device</source>
        <translation>No existe esa medición en este dispositivo</translation>
    </message>
    <message>
        <source>See &apos;health-helper history --ids&apos; for what is kept.</source>
        <translation>Vea lo guardado con &apos;health-helper history --ids&apos;.</translation>
    </message>
    <message>
        <source>The new recovery key is not in force</source>
        <translation>La nueva clave de recuperación no está en vigor</translation>
    </message>
    <message>
        <source>Throw it away; an older one stays valid.</source>
        <translation>Deséchela; una anterior sigue siendo válida.</translation>
    </message>
    <message>
        <source>There is no such task, or somebody has looked at it already</source>
        <translation>No existe esa tarea o alguien ya la ha revisado</translation>
    </message>
    <message>
        <source>See &apos;health-helper tasks list&apos; for those that are open.</source>
        <translation>Vea las pendientes con &apos;health-helper tasks list&apos;.</translation>
    </message>
    <message>
        <source>No scan is kept yet</source>
        <translation>Todavía no hay ninguna medición guardada</translation>
    </message>
    <message>
        <source>Measure first: health-helper scan.</source>
        <translation>Mida primero: health-helper scan.</translation>
    </message>
    <message>
        <source>{one} and {other} contradict each other</source>
        <translation>{one} y {other} se contradicen</translation>
    </message>
    <message>
        <source>--agree is for a person</source>
        <translation>--agree es para una persona</translation>
    </message>
    <message>
        <source>Add --person NAME; for a guest there is --share.</source>
        <translation>Añada --person NOMBRE; para un invitado existe --share.</translation>
    </message>
    <message>
        <source>--seconds {seconds} cannot be measured</source>
        <translation>No se puede medir --seconds {seconds}</translation>
    </message>
    <message>
        <source>Give a number from {least} to {most}.</source>
        <translation>Indique un número de {least} a {most}.</translation>
    </message>
    <message>
        <source>{one} and {other}</source>
        <translation>{one} y {other}</translation>
    </message>
    <message>
        <source>{both} are two sources</source>
        <translation>{both} son fuentes distintas</translation>
    </message>
    <message>
        <source>--demo-bpm and --demo-scene are for the demo only</source>
        <translation>--demo-bpm y --demo-scene son solo para la demostración</translation>
    </message>
    <message>
        <source>Add --demo, or leave them out.</source>
        <translation>Añada --demo o no los ponga.</translation>
    </message>
    <message>
        <source>--demo-bpm {rate} is no heart rate that can be simulated</source>
        <translation>--demo-bpm {rate} no es una frecuencia cardíaca que se pueda simular</translation>
    </message>
    <message>
        <source>No camera was found and no other source was named</source>
        <translation>No se encontró ninguna cámara ni se indicó otra fuente</translation>
    </message>
    <message>
        <source>Plug in a camera, or use --video FILE, --url URL or --demo.</source>
        <translation>Conecte una cámara o use --video ARCHIVO, --url URL o --demo.</translation>
    </message>
    <message>
        <source>Install Health Helper again.</source>
        <translation>Instale Health Helper de nuevo.</translation>
    </message>
    <message>
        <source>Run &apos;make setup&apos; (without make: &apos;python packaging/setup.py setup&apos;) and try again.</source>
        <translation>Ejecute &apos;make setup&apos; (sin make: &apos;python packaging/setup.py setup&apos;) e inténtelo de nuevo.</translation>
    </message>
    <message>
        <source>{one}, {other}</source>
        <translation>{one}, {other}</translation>
    </message>
    <message>
        <source>The sound system does not answer</source>
        <translation>El sistema de sonido no responde</translation>
    </message>
    <message>
        <source>Restart it, or this computer, then try again.</source>
        <translation>Reinícielo, o reinicie este equipo, e inténtelo de nuevo.</translation>
    </message>
    <message>
        <source>The library sounddevice can&apos;t be loaded</source>
        <translation>No se puede cargar la biblioteca sounddevice</translation>
    </message>
    <message>
        <source>The library PortAudio is missing</source>
        <translation>Falta la biblioteca PortAudio</translation>
    </message>
    <message>
        <source>Install it (under Debian and Ubuntu: sudo apt-get install libportaudio2), then try again.</source>
        <translation>Instálela (en Debian y Ubuntu: sudo apt-get install libportaudio2) e inténtelo de nuevo.</translation>
    </message>
    <message>
        <source>The sound system can&apos;t be used</source>
        <translation>No se puede usar el sistema de sonido</translation>
    </message>
    <message>
        <source>You may not use the microphone</source>
        <translation>No tiene permiso para usar el micrófono</translation>
    </message>
    <message>
        <source>Allow it: sudo usermod -aG audio {user}, then log in again.</source>
        <translation>Permítalo: sudo usermod -aG audio {user}, y vuelva a iniciar sesión.</translation>
    </message>
    <message>
        <source>No microphone was found</source>
        <translation>No se encontró ningún micrófono</translation>
    </message>
    <message>
        <source>Plug one in, or switch it on, and try again.</source>
        <translation>Conecte o encienda uno e inténtelo de nuevo.</translation>
    </message>
    <message>
        <source>The system&apos;s own microphone</source>
        <translation>El micrófono del sistema</translation>
    </message>
    <message>
        <source>{name} is not there</source>
        <translation>{name} no está disponible</translation>
    </message>
    <message>
        <source>Plug it in, or choose another microphone.</source>
        <translation>Conéctelo o elija otro micrófono.</translation>
    </message>
    <message>
        <source>{name} is used by another program</source>
        <translation>Otro programa está usando {name}</translation>
    </message>
    <message>
        <source>Close that program, or choose the system&apos;s own microphone, which can be shared.</source>
        <translation>Cierre ese programa o elija el micrófono del sistema, que se puede compartir.</translation>
    </message>
    <message>
        <source>{name} can&apos;t be opened</source>
        <translation>No se puede abrir {name}</translation>
    </message>
    <message>
        <source>Allow this program to use the microphone in the system&apos;s privacy settings, close other programs that use it, then plug it in again.</source>
        <translation>Permita a este programa usar el micrófono en los ajustes de privacidad del sistema, cierre otros programas que lo usen y vuelva a conectarlo.</translation>
    </message>
    <message>
        <source>{name} was unplugged, or the sound system has stopped</source>
        <translation>Se desconectó {name} o se detuvo el sistema de sonido</translation>
    </message>
    <message>
        <source>Plug it in again, then try again.</source>
        <translation>Vuelva a conectarlo e inténtelo de nuevo.</translation>
    </message>
    <message>
        <source>{name} sends nothing</source>
        <translation>{name} no envía nada</translation>
    </message>
    <message>
        <source>Plug it out and in again, or restart the sound system, then try again.</source>
        <translation>Desconéctelo y vuelva a conectarlo, o reinicie el sistema de sonido, e inténtelo de nuevo.</translation>
    </message>
    <message>
        <source>Microphone</source>
        <translation>Micrófono</translation>
    </message>
    <message>
        <source>Try it</source>
        <translation>Probarlo</translation>
    </message>
    <message>
        <source>The assistant listens with it, when somebody has it listen. Here only this try does; nothing of it is recorded or sent.</source>
        <translation>El asistente escucha con él cuando alguien lo pone a escuchar. Aquí solo lo usa esta prueba; de ella no se graba ni se envía nada.</translation>
    </message>
    <message>
        <source>The microphone is being opened …</source>
        <translation>Abriendo el micrófono …</translation>
    </message>
    <message>
        <source>Stop</source>
        <translation>Detener</translation>
    </message>
    <message>
        <source>No microphone was found. Plug one in and open this page again.</source>
        <translation>No se encontró ningún micrófono. Conecte uno y abra esta página de nuevo.</translation>
    </message>
    <message>
        <source>The try has ended by itself after a minute.</source>
        <translation>La prueba terminó sola después de un minuto.</translation>
    </message>
    <message>
        <source>The microphone gives only silence. Switch it on (a key or a switch at it), raise its level in the system&apos;s sound settings, and allow this program to use it there.</source>
        <translation>El micrófono solo da silencio. Enciéndalo (con una tecla o un interruptor del propio micrófono), suba su nivel en los ajustes de sonido del sistema y permita allí que este programa lo use.</translation>
    </message>
    <message>
        <source>Hardly anything is heard. Speak; if that changes nothing, raise its level in the system&apos;s sound settings.</source>
        <translation>Apenas se oye algo. Hable; si eso no cambia nada, suba su nivel en los ajustes de sonido del sistema.</translation>
    </message>
    <message>
        <source>Something is heard. If that is your voice, it works.</source>
        <translation>Se oye algo. Si es su voz, funciona.</translation>
    </message>
    <message>
        <source>Too loud. Lower its level in the system&apos;s sound settings, or move it away.</source>
        <translation>Demasiado fuerte. Baje su nivel en los ajustes de sonido del sistema o aléjelo.</translation>
    </message>
    <message>
        <source>{level} dB</source>
        <translation>{level} dB</translation>
    </message>
    <message>
        <source>The system&apos;s own</source>
        <translation>El del sistema</translation>
    </message>
    <message>
        <source>{name} (not there now)</source>
        <translation>{name} (no disponible ahora)</translation>
    </message>
    <message>
        <source>Level of the microphone</source>
        <translation>Nivel del micrófono</translation>
    </message>
    <message>
        <source>The header speaks of {listed} s, its table of frames of {timed} s: the frame rate in the file cannot be trusted.</source>
        <translation>La cabecera indica {listed} s; su tabla de fotogramas, {timed} s: no se puede confiar en la frecuencia de fotogramas del archivo.</translation>
    </message>
    <message>
        <source>The header lists {frames} frames in {timed} s and has {shown} s of them shown: the file was cut or re-timed after it was recorded, so its frame rate cannot be trusted.</source>
        <translation>La cabecera indica {frames} fotogramas en {timed} s y hace mostrar {shown} s de ellos: el archivo se recortó o se cambiaron sus tiempos después de grabarlo, así que no se puede confiar en su frecuencia de fotogramas.</translation>
    </message>
    <message>
        <source>The server&apos;s answer cannot be read</source>
        <translation>No se puede leer la respuesta del servidor</translation>
    </message>
    <message>
        <source>Try again later. If this stays, install the newest version, or ask whoever looks after the server.</source>
        <translation>Inténtelo de nuevo más tarde. Si sigue ocurriendo, instale la versión más reciente o consulte a quien se encarga del servidor.</translation>
    </message>
    <message>
        <source>s</source>
        <translation>s</translation>
    </message>
    <message>
        <source>--share is for a guest</source>
        <translation>--share es para un invitado</translation>
    </message>
    <message>
        <source>A person agrees with: people --share NAME yes.</source>
        <translation>Una persona acepta con: people --share NOMBRE yes.</translation>
    </message>
    <message>
        <source>There is no such file on this device</source>
        <translation>No existe ese archivo en este dispositivo</translation>
    </message>
    <message>
        <source>See &apos;health-helper documents list&apos; for what is kept.</source>
        <translation>Vea lo guardado con &apos;health-helper documents list&apos;.</translation>
    </message>
    <message>
        <source>Either a code or --leave is needed</source>
        <translation>Se necesita un código o --leave</translation>
    </message>
    <message>
        <source>Ask the clinic&apos;s administrator for a code: health-helper enrol CODE.</source>
        <translation>Pida un código al administrador de la clínica: health-helper enrol CÓDIGO.</translation>
    </message>
    <message>
        <source>No Health Helper server answers at this address</source>
        <translation>En esta dirección no responde ningún servidor de Health Helper</translation>
    </message>
    <message>
        <source>Check the address, also what comes after the server&apos;s name: type it as the clinic&apos;s administrator gave it. The code was not used up.</source>
        <translation>Compruebe la dirección, también lo que sigue al nombre del servidor: escríbala como la dio el administrador de la clínica. El código no se ha gastado.</translation>
    </message>
    <message>
        <source>The server&apos;s address is missing</source>
        <translation>Falta la dirección del servidor</translation>
    </message>
    <message>
        <source>Ask the clinic&apos;s administrator for it; it begins with https://.</source>
        <translation>Pídala al administrador de la clínica; empieza por https://.</translation>
    </message>
    <message>
        <source>This computer may only be enrolled with another server</source>
        <translation>Este equipo solo se puede registrar en otro servidor</translation>
    </message>
    <message>
        <source>Leave the address out, or ask whoever manages this computer.</source>
        <translation>No ponga la dirección o consulte a quien administra este equipo.</translation>
    </message>
    <message>
        <source>The server&apos;s address is none that can be used</source>
        <translation>La dirección del servidor no se puede usar</translation>
    </message>
    <message>
        <source>Type it as the clinic&apos;s administrator gave it; it begins with https://.</source>
        <translation>Escríbala tal como la dio el administrador de la clínica; empieza por https://.</translation>
    </message>
    <message>
        <source>This computer has no connection to a network</source>
        <translation>Este equipo no tiene conexión a ninguna red</translation>
    </message>
    <message>
        <source>Plug the network in or switch it on. What waits is sent by itself then.</source>
        <translation>Conecte o active la red. Lo que está en espera se enviará después por sí solo.</translation>
    </message>
    <message>
        <source>Nobody in this network knows the name of the server ({host})</source>
        <translation>Nadie en esta red conoce el nombre del servidor ({host})</translation>
    </message>
    <message>
        <source>Check the network and, if it works otherwise, the server&apos;s address.</source>
        <translation>Revise la red y, si por lo demás funciona, la dirección del servidor.</translation>
    </message>
    <message>
        <source>{host} refuses the connection</source>
        <translation>{host} rechaza la conexión</translation>
    </message>
    <message>
        <source>It is tried again by itself. If this stays, ask whoever looks after the server or the firewall.</source>
        <translation>Se reintenta por sí solo. Si sigue ocurriendo, consulte a quien se encarga del servidor o del cortafuegos.</translation>
    </message>
    <message>
        <source>The connection to the server broke off</source>
        <translation>Se interrumpió la conexión con el servidor</translation>
    </message>
    <message>
        <source>It is tried again by itself. If this stays, ask whoever looks after the network.</source>
        <translation>Se reintenta por sí solo. Si sigue ocurriendo, consulte a quien se encarga de la red.</translation>
    </message>
    <message>
        <source>There is no way from this network to the server ({host})</source>
        <translation>Desde esta red no se puede llegar al servidor ({host})</translation>
    </message>
    <message>
        <source>It is tried again by itself. If this stays, use another network or ask whoever looks after this one.</source>
        <translation>Se reintenta por sí solo. Si sigue ocurriendo, use otra red o consulte a quien se encarga de esta.</translation>
    </message>
    <message>
        <source>No secure connection to the server can be made in this network</source>
        <translation>En esta red no se puede establecer una conexión segura con el servidor</translation>
    </message>
    <message>
        <source>Nothing was sent. Open a web page and log in there if the network asks for it, or use another network.</source>
        <translation>No se envió nada. Abra una página web e inicie sesión en ella si la red lo pide, o use otra red.</translation>
    </message>
    <message>
        <source>The certificate shown for the server is not trusted by this computer</source>
        <translation>Este equipo no confía en el certificado que se presentó como el del servidor</translation>
    </message>
    <message>
        <source>The certificate shown for the server is by {issuer}, whom this computer does not trust</source>
        <translation>El certificado que se presentó como el del servidor es de {issuer}, en quien este equipo no confía</translation>
    </message>
    <message>
        <source>Nothing was sent. If this network is meant to open what is encrypted, ask whoever manages this computer to install the network&apos;s certificate; else use another network.</source>
        <translation>No se envió nada. Si esta red debe abrir el tráfico cifrado, pida a quien administra este equipo que instale el certificado de la red; si no, use otra red.</translation>
    </message>
    <message>
        <source>The certificate shown is for another server than {host}</source>
        <translation>El certificado presentado es de un servidor distinto de {host}</translation>
    </message>
    <message>
        <source>Nothing was sent. Open a web page in this network and log in there if it asks; else check the server&apos;s address.</source>
        <translation>No se envió nada. Abra una página web en esta red e inicie sesión en ella si lo pide; si no, revise la dirección del servidor.</translation>
    </message>
    <message>
        <source>The server&apos;s certificate has expired, if it is {date} as this computer says</source>
        <translation>El certificado del servidor ha caducado, si hoy es {date}, como indica este equipo</translation>
    </message>
    <message>
        <source>Check the date and time of this computer. If they are right, tell whoever looks after the server.</source>
        <translation>Revise la fecha y la hora de este equipo. Si son correctas, avise a quien se encarga del servidor.</translation>
    </message>
    <message>
        <source>The certificates that this computer&apos;s policy names cannot be read</source>
        <translation>No se pueden leer los certificados que indica la directiva de este equipo</translation>
    </message>
    <message>
        <source>Ask whoever manages this computer to correct the file {file}.</source>
        <translation>Pida a quien administra este equipo que corrija el archivo {file}.</translation>
    </message>
    <message>
        <source>The clock of this computer is wrong (it says {date})</source>
        <translation>El reloj de este equipo está mal (indica {date})</translation>
    </message>
    <message>
        <source>Set the date and time of this computer; best let the system set them by itself.</source>
        <translation>Ajuste la fecha y la hora de este equipo; lo mejor es que el sistema las ajuste por sí solo.</translation>
    </message>
    <message>
        <source>This network answers instead of the server, as one does that wants a login first</source>
        <translation>Responde esta red en lugar del servidor, como lo hace una red que pide antes iniciar sesión</translation>
    </message>
    <message>
        <source>Open a web page in a browser and log in there, or use another network.</source>
        <translation>Abra una página web en un navegador e inicie sesión en ella, o use otra red.</translation>
    </message>
    <message>
        <source>The proxy of this network cannot be reached</source>
        <translation>No se puede llegar al proxy de esta red</translation>
    </message>
    <message>
        <source>The proxy of this network wants a login (407)</source>
        <translation>El proxy de esta red pide iniciar sesión (407)</translation>
    </message>
    <message>
        <source>The proxy of this network does not let the connection pass ({status})</source>
        <translation>El proxy de esta red no deja pasar la conexión ({status})</translation>
    </message>
    <message>
        <source>Ask whoever manages the network to let this computer reach the server through it.</source>
        <translation>Pida a quien administra la red que permita a este equipo llegar al servidor a través del proxy.</translation>
    </message>
    <message>
        <source>The proxy that is set for this computer cannot be used</source>
        <translation>El proxy configurado en este equipo no se puede usar</translation>
    </message>
    <message>
        <source>Ask whoever manages this computer to set one that begins with http:// or https://.</source>
        <translation>Pida a quien administra este equipo que configure uno que empiece por http:// o https://.</translation>
    </message>
    <message>
        <source>The server cannot be reached in time</source>
        <translation>No se pudo llegar al servidor a tiempo</translation>
    </message>
    <message>
        <source>The network is too slow or takes nothing any more</source>
        <translation>La red es demasiado lenta o ya no acepta nada</translation>
    </message>
    <message>
        <source>The server does not answer in time</source>
        <translation>El servidor no responde a tiempo</translation>
    </message>
    <message>
        <source>The server&apos;s answer takes too long</source>
        <translation>La respuesta del servidor tarda demasiado</translation>
    </message>
    <message>
        <source>It is tried again by itself. If this stays, check the network.</source>
        <translation>Se reintenta por sí solo. Si sigue ocurriendo, revise la red.</translation>
    </message>
    <message>
        <source>Sending was ended</source>
        <translation>El envío se terminó</translation>
    </message>
    <message>
        <source>What waits is sent when the program runs again.</source>
        <translation>Lo que está en espera se enviará cuando el programa vuelva a ejecutarse.</translation>
    </message>
    <message>
        <source>The server cannot do this at the moment ({status})</source>
        <translation>El servidor no puede hacer esto en este momento ({status})</translation>
    </message>
    <message>
        <source>It is tried again by itself. If this stays, tell whoever looks after the server.</source>
        <translation>Se reintenta por sí solo. Si sigue ocurriendo, avise a quien se encarga del servidor.</translation>
    </message>
    <message>
        <source>The server takes no more at the moment</source>
        <translation>El servidor no acepta más por el momento</translation>
    </message>
    <message>
        <source>It is tried again by itself after a while.</source>
        <translation>Se reintenta por sí solo después de un rato.</translation>
    </message>
    <message>
        <source>This clinic has used what it may use this month</source>
        <translation>Esta clínica ha agotado lo que puede usar este mes</translation>
    </message>
    <message>
        <source>Wait until next month, or ask whoever manages the service for more.</source>
        <translation>Espere hasta el mes que viene o pida más a quien administra el servicio.</translation>
    </message>
    <message>
        <source>Ask the clinic&apos;s administrator for a code and enrol this device.</source>
        <translation>Pida un código al administrador de la clínica y registre este dispositivo.</translation>
    </message>
    <message>
        <source>The clinic has ended the enrolment of this device</source>
        <translation>La clínica ha dado de baja este dispositivo</translation>
    </message>
    <message>
        <source>What is measured stays on this device. Ask the clinic&apos;s administrator for a new code and enrol it anew.</source>
        <translation>Lo que se mide se queda en este dispositivo. Pida un nuevo código al administrador de la clínica y regístrelo de nuevo.</translation>
    </message>
    <message>
        <source>The server does not accept this device&apos;s sign-in any more</source>
        <translation>El servidor ya no acepta las credenciales de este dispositivo</translation>
    </message>
    <message>
        <source>The code is mistyped</source>
        <translation>El código está mal escrito</translation>
    </message>
    <message>
        <source>Type its twelve letters and digits as they are shown; it has no 0, O, 1, I and L.</source>
        <translation>Escriba sus doce letras y cifras tal como se muestran; no contiene 0, O, 1, I ni L.</translation>
    </message>
    <message>
        <source>The code is mistyped, was used already, or is older than ten minutes</source>
        <translation>El código está mal escrito, ya se usó o tiene más de diez minutos</translation>
    </message>
    <message>
        <source>Check it, or ask the clinic&apos;s administrator for a new one.</source>
        <translation>Revíselo o pida uno nuevo al administrador de la clínica.</translation>
    </message>
    <message>
        <source>The code was sent, but the server&apos;s answer was lost on its way</source>
        <translation>El código se envió, pero la respuesta del servidor se perdió en el camino</translation>
    </message>
    <message>
        <source>Try the same code once more. If it is refused, ask the clinic&apos;s administrator for a new one, and to remove the device that never came.</source>
        <translation>Pruebe el mismo código una vez más. Si se rechaza, pida uno nuevo al administrador de la clínica, y que quite el dispositivo que no llegó a registrarse.</translation>
    </message>
    <message>
        <source>The server does not take this ({status})</source>
        <translation>El servidor no acepta esto ({status})</translation>
    </message>
    <message>
        <source>Install the newest version. If this stays, tell whoever looks after the server.</source>
        <translation>Instale la versión más reciente. Si sigue ocurriendo, avise a quien se encarga del servidor.</translation>
    </message>
    <message>
        <source>The data of this person were erased at the server, which takes no more of them</source>
        <translation>Los datos de esta persona se borraron en el servidor, que ya no acepta más datos suyos</translation>
    </message>
    <message>
        <source>What is kept on this device stays here until it is deleted.</source>
        <translation>Lo guardado en este dispositivo se queda aquí hasta que se elimine.</translation>
    </message>
    <message>
        <source>The time to send this file was over</source>
        <translation>Se agotó el tiempo para enviar este archivo</translation>
    </message>
    <message>
        <source>It is tried again by itself.</source>
        <translation>Se reintenta por sí solo.</translation>
    </message>
    <message>
        <source>This is no token of a FHIR server</source>
        <translation>Esto no es un token de un servidor FHIR</translation>
    </message>
    <message>
        <source>Copy it again as whoever looks after the server gave it: one line of letters and signs.</source>
        <translation>Cópielo de nuevo tal como lo dio quien se encarga del servidor: una línea de letras y signos.</translation>
    </message>
    <message>
        <source>Adding was cancelled</source>
        <translation>Se canceló la adición</translation>
    </message>
    <message>
        <source>Nothing of it was kept. Add it again if you like.</source>
        <translation>No se guardó nada de ello. Añádalo de nuevo si lo desea.</translation>
    </message>
    <message>
        <source>Document</source>
        <translation>Documento</translation>
    </message>
    <message>
        <source>It was made smaller, so that it can be sent. Its text should still be legible: look at it.</source>
        <translation>Se redujo para que se pueda enviar. El texto debería seguir siendo legible: compruébelo.</translation>
    </message>
    <message>
        <source>It was too large as PNG and is kept as JPEG.</source>
        <translation>Era demasiado grande como PNG y se guarda como JPEG.</translation>
    </message>
    <message>
        <source>{name} is no name of a file</source>
        <translation>{name} no es un nombre de archivo</translation>
    </message>
    <message>
        <source>Choose a file.</source>
        <translation>Elija un archivo.</translation>
    </message>
    <message>
        <source>{name} has {size} MB; at most {limit} MB are taken</source>
        <translation>{name} tiene {size} MB; se aceptan como máximo {limit} MB</translation>
    </message>
    <message>
        <source>Save it smaller, or hand in the pages that matter.</source>
        <translation>Guárdelo con un tamaño menor o entregue solo las páginas importantes.</translation>
    </message>
    <message>
        <source>{name} changed while it was read</source>
        <translation>{name} cambió mientras se leía</translation>
    </message>
    <message>
        <source>Wait until it is written completely, and add it again.</source>
        <translation>Espere a que esté escrito por completo y añádalo de nuevo.</translation>
    </message>
    <message>
        <source>Choose the files that are in it.</source>
        <translation>Elija los archivos que contiene.</translation>
    </message>
    <message>
        <source>{name} is no file but a device or a connection</source>
        <translation>{name} no es un archivo, sino un dispositivo o una conexión</translation>
    </message>
    <message>
        <source>Check its name and whether its disk is connected.</source>
        <translation>Revise su nombre y si su disco está conectado.</translation>
    </message>
    <message>
        <source>Ask whoever it belongs to, or copy it to a folder of yours.</source>
        <translation>Consulte a quien pertenece o cópielo a una carpeta propia.</translation>
    </message>
    <message>
        <source>{name} could not be read ({why})</source>
        <translation>No se pudo leer {name} ({why})</translation>
    </message>
    <message>
        <source>Check its disk or connection and try again.</source>
        <translation>Revise su disco o la conexión e inténtelo de nuevo.</translation>
    </message>
    <message>
        <source>The part of this program that looks into files could not be started</source>
        <translation>No se pudo iniciar la parte de este programa que examina los archivos</translation>
    </message>
    <message>
        <source>Close other programs and try again; if that does not help, install Health Helper again.</source>
        <translation>Cierre otros programas e inténtelo de nuevo; si no sirve, instale Health Helper de nuevo.</translation>
    </message>
    <message>
        <source>{name} could not be written ({why})</source>
        <translation>No se pudo escribir {name} ({why})</translation>
    </message>
    <message>
        <source>Choose another folder, or make room on its disk.</source>
        <translation>Elija otra carpeta o libere espacio en su disco.</translation>
    </message>
    <message>
        <source>Open it in a picture program, save it as JPEG or PNG, and hand that in.</source>
        <translation>Ábralo en un programa de imágenes, guárdelo como JPEG o PNG y entregue ese archivo.</translation>
    </message>
    <message>
        <source>Open it in its program, save or print it as PDF, and hand that in.</source>
        <translation>Ábralo en su programa, guárdelo o imprímalo como PDF y entregue ese archivo.</translation>
    </message>
    <message>
        <source>Hand in a PDF, a JPEG or a PNG.</source>
        <translation>Entregue un PDF, un JPEG o un PNG.</translation>
    </message>
    <message>
        <source>a GIF picture</source>
        <translation>una imagen GIF</translation>
    </message>
    <message>
        <source>a TIFF picture</source>
        <translation>una imagen TIFF</translation>
    </message>
    <message>
        <source>a BMP picture</source>
        <translation>una imagen BMP</translation>
    </message>
    <message>
        <source>a JPEG XL picture</source>
        <translation>una imagen JPEG XL</translation>
    </message>
    <message>
        <source>a JPEG 2000 picture</source>
        <translation>una imagen JPEG 2000</translation>
    </message>
    <message>
        <source>an office document (Word, Excel …)</source>
        <translation>un documento ofimático (Word, Excel …)</translation>
    </message>
    <message>
        <source>a text document (RTF)</source>
        <translation>un documento de texto (RTF)</translation>
    </message>
    <message>
        <source>a ZIP archive</source>
        <translation>un archivo ZIP</translation>
    </message>
    <message>
        <source>Unpack it and hand in the files that are in it.</source>
        <translation>Descomprímalo y entregue los archivos que contiene.</translation>
    </message>
    <message>
        <source>an archive</source>
        <translation>un archivo comprimido</translation>
    </message>
    <message>
        <source>a program</source>
        <translation>un programa</translation>
    </message>
    <message>
        <source>a PostScript document</source>
        <translation>un documento PostScript</translation>
    </message>
    <message>
        <source>Copy it again from where you have it.</source>
        <translation>Cópielo de nuevo desde donde lo tiene.</translation>
    </message>
    <message>
        <source>{name} is no PDF, JPEG or PNG but {what}</source>
        <translation>{name} no es un PDF, un JPEG ni un PNG, sino {what}</translation>
    </message>
    <message>
        <source>{name} is no PDF, JPEG or PNG</source>
        <translation>{name} no es un PDF, un JPEG ni un PNG</translation>
    </message>
    <message>
        <source>a HEIC picture, as iPhones make them</source>
        <translation>una imagen HEIC, como las que hacen los iPhone</translation>
    </message>
    <message>
        <source>an AVIF picture</source>
        <translation>una imagen AVIF</translation>
    </message>
    <message>
        <source>a video</source>
        <translation>un video</translation>
    </message>
    <message>
        <source>a WebP picture</source>
        <translation>una imagen WebP</translation>
    </message>
    <message>
        <source>a medical picture (DICOM)</source>
        <translation>una imagen médica (DICOM)</translation>
    </message>
    <message>
        <source>something else in front of a PDF</source>
        <translation>un PDF con otra cosa delante</translation>
    </message>
    <message>
        <source>text</source>
        <translation>texto</translation>
    </message>
    <message>
        <source>This page cannot be shown</source>
        <translation>Esta página no se puede mostrar</translation>
    </message>
    <message>
        <source>Save a copy and open it in another program.</source>
        <translation>Guarde una copia y ábrala en otro programa.</translation>
    </message>
    <message>
        <source>Open it where you have it from, print it into a new PDF, and hand that in.</source>
        <translation>Ábralo donde lo tiene, imprímalo en un PDF nuevo y entregue ese archivo.</translation>
    </message>
    <message>
        <source>Open it in another program, save or print it anew, and hand that in.</source>
        <translation>Ábralo en otro programa, guárdelo o imprímalo de nuevo y entregue ese archivo.</translation>
    </message>
    <message>
        <source>{name} is damaged or cut off</source>
        <translation>{name} está dañado o cortado</translation>
    </message>
    <message>
        <source>Copy it again from where you have it, or save it anew.</source>
        <translation>Cópielo de nuevo desde donde lo tiene o guárdelo de nuevo.</translation>
    </message>
    <message>
        <source>{name} is of a rare kind that is not read here</source>
        <translation>{name} es de un tipo poco común que aquí no se lee</translation>
    </message>
    <message>
        <source>Open it in another program and save it as an ordinary PNG or JPEG.</source>
        <translation>Ábralo en otro programa y guárdelo como PNG o JPEG normal.</translation>
    </message>
    <message>
        <source>{name} has something behind its end</source>
        <translation>{name} tiene algo después de su final</translation>
    </message>
    <message>
        <source>{name} has another kind of file inside it</source>
        <translation>{name} contiene un archivo de otro tipo</translation>
    </message>
    <message>
        <source>{name} is locked with a password or against changes</source>
        <translation>{name} está bloqueado con una contraseña o contra cambios</translation>
    </message>
    <message>
        <source>Open it with its password, save or print it without one, and hand that in.</source>
        <translation>Ábralo con su contraseña, guárdelo o imprímalo sin ella y entregue ese archivo.</translation>
    </message>
    <message>
        <source>{name} would do something when it is opened: a script, a program, a form that sends, or a file within it</source>
        <translation>{name} haría algo al abrirse: un script, un programa, un formulario que envía datos o un archivo incluido</translation>
    </message>
    <message>
        <source>{name} grows beyond measure when it is unpacked</source>
        <translation>{name} crece sin medida al descomprimirse</translation>
    </message>
    <message>
        <source>{name} is too complicated to be looked at safely</source>
        <translation>{name} es demasiado complicado para examinarlo con seguridad</translation>
    </message>
    <message>
        <source>{name} has more than {pages} pages</source>
        <translation>{name} tiene más de {pages} páginas</translation>
    </message>
    <message>
        <source>Hand in the pages that matter, in several files.</source>
        <translation>Entregue las páginas importantes en varios archivos.</translation>
    </message>
    <message>
        <source>{name} has more than {pixels} million pixels</source>
        <translation>{name} tiene más de {pixels} millones de píxeles</translation>
    </message>
    <message>
        <source>Make it smaller in a picture program, or photograph it again at a lower resolution.</source>
        <translation>Redúzcalo en un programa de imágenes o fotografíelo de nuevo con una resolución menor.</translation>
    </message>
    <message>
        <source>Report of a scan</source>
        <translation>Informe de una medición</translation>
    </message>
    <message>
        <source>Clinic: {clinic}, at {server}.</source>
        <translation>Clínica: {clinic}, en {server}.</translation>
    </message>
    <message>
        <source>May what is kept of {name} be sent to the clinic at {clinic}?</source>
        <translation>¿Se puede enviar a la clínica ({clinic}) lo guardado de {name}?</translation>
    </message>
    <message>
        <source>May this also be sent to the clinic at {clinic}?</source>
        <translation>¿Se puede enviar esto también a la clínica ({clinic})?</translation>
    </message>
    <message>
        <source>What is sent: the measured or typed-in numbers with their intervals, or the reasons why a number is not shown; when and how long was measured; and files that you add yourself.</source>
        <translation>Qué se envía: los números medidos o introducidos a mano con sus intervalos, o los motivos por los que un número no se muestra; cuándo y durante cuánto tiempo se midió; y los archivos que usted mismo añada.</translation>
    </message>
    <message>
        <source>What is never sent: your name, your record number, and what the camera sees in a scan.</source>
        <translation>Lo que nunca se envía: su nombre, su número de historia clínica y lo que la cámara ve en una medición.</translation>
    </message>
    <message>
        <source>It is sent encrypted. You can take this back at any time: Settings, “Sharing…”.</source>
        <translation>Se envía cifrado. Puede revocarlo en cualquier momento: Ajustes, «Compartir datos…».</translation>
    </message>
    <message>
        <source>It is sent encrypted, under a new random number. A guest is asked each time.</source>
        <translation>Se envía cifrado, con un nuevo número aleatorio. A un invitado se le pregunta cada vez.</translation>
    </message>
    <message>
        <source>What may be an emergency is noticed on this device in any case. You can take this back at any time: at the assistant, “What is sent…”, or in the settings, “Sharing…”.</source>
        <translation>Lo que puede ser una emergencia se detecta en este dispositivo en todo caso. Puede revocar esto en cualquier momento: en el asistente, «Qué se envía…», o en los ajustes, «Compartir datos…».</translation>
    </message>
    <message>
        <source>The key store of this system is locked, so nothing can be sent</source>
        <translation>El almacén de claves de este sistema está bloqueado, así que no se puede enviar nada</translation>
    </message>
    <message>
        <source>Unlock it (log in to the desktop). What is measured is kept, and sent by itself then.</source>
        <translation>Desbloquéelo (inicie sesión en el escritorio). Lo que se mide se guarda y entonces se envía por sí solo.</translation>
    </message>
    <message>
        <source>This system has no key store, so nothing can be sent</source>
        <translation>Este sistema no tiene almacén de claves, así que no se puede enviar nada</translation>
    </message>
    <message>
        <source>Start one (GNOME Keyring, KWallet). What is measured is kept, and sent by itself then.</source>
        <translation>Inicie uno (GNOME Keyring, KWallet). Lo que se mide se guarda y entonces se envía por sí solo.</translation>
    </message>
    <message>
        <source>The disk is full, so nothing can be sent</source>
        <translation>El disco está lleno, así que no se puede enviar nada</translation>
    </message>
    <message>
        <source>Free some space. What was kept is safe, and is sent by itself then.</source>
        <translation>Libere espacio. Lo guardado está a salvo y entonces se envía por sí solo.</translation>
    </message>
    <message>
        <source>Another program has renewed the store on this device, so nothing can be sent from here</source>
        <translation>Otro programa ha renovado el almacén de este dispositivo, así que no se puede enviar nada desde aquí</translation>
    </message>
    <message>
        <source>Close Health Helper and open it again. What was kept is safe, and is sent then.</source>
        <translation>Cierre Health Helper y vuelva a abrirlo. Lo guardado está a salvo y entonces se envía.</translation>
    </message>
    <message>
        <source>Sending has failed, by a bug of Health Helper&apos;s own</source>
        <translation>El envío falló por un error propio de Health Helper</translation>
    </message>
    <message>
        <source>Nothing is lost. It is tried again by itself; install the newest version if this stays.</source>
        <translation>No se ha perdido nada. Se reintenta por sí solo; si sigue ocurriendo, instale la versión más reciente.</translation>
    </message>
    <message>
        <source>The policy of this computer can be changed by everybody who uses it</source>
        <translation>La directiva de este equipo la puede cambiar cualquiera que lo use</translation>
    </message>
    <message>
        <source>The policy of this computer cannot be read ({kind})</source>
        <translation>No se puede leer la directiva de este equipo ({kind})</translation>
    </message>
    <message>
        <source>The policy of this computer is no TOML</source>
        <translation>La directiva de este equipo no es TOML</translation>
    </message>
    <message>
        <source>The policy of this computer has a key that is not known: {key}</source>
        <translation>La directiva de este equipo tiene una clave que no se conoce: {key}</translation>
    </message>
    <message>
        <source>The policy of this computer is wrong: {key} is not {form}</source>
        <translation>La directiva de este equipo es incorrecta: {key} no es {form}</translation>
    </message>
    <message>
        <source>a whole number from {least} to {most}</source>
        <translation>un número entero de {least} a {most}</translation>
    </message>
    <message>
        <source>true or false</source>
        <translation>true o false</translation>
    </message>
    <message>
        <source>an address that begins with https:// or http://</source>
        <translation>una dirección que empiece por https:// o http://</translation>
    </message>
    <message>
        <source>an address that begins with https://</source>
        <translation>una dirección que empiece por https://</translation>
    </message>
    <message>
        <source>the path of a file</source>
        <translation>la ruta de un archivo</translation>
    </message>
    <message>
        <source>the code of a country such as PT</source>
        <translation>el código de un país, como PT</translation>
    </message>
    <message>
        <source>The export was stopped</source>
        <translation>Se detuvo la exportación</translation>
    </message>
    <message>
        <source>Nothing was written; start it again whenever you like.</source>
        <translation>No se escribió nada; iníciela de nuevo cuando quiera.</translation>
    </message>
    <message>
        <source>Name lost ({number})</source>
        <translation>Nombre perdido ({number})</translation>
    </message>
    <message>
        <source>This document on this device is damaged or missing</source>
        <translation>Este documento de este dispositivo está dañado o falta</translation>
    </message>
    <message>
        <source>Add it again from where it came from, then delete this one.</source>
        <translation>Añádalo de nuevo desde su origen y después elimine este.</translation>
    </message>
    <message>
        <source>This file is empty</source>
        <translation>Este archivo está vacío</translation>
    </message>
    <message>
        <source>Choose another one, or save it again.</source>
        <translation>Elija otro o guárdelo de nuevo.</translation>
    </message>
    <message>
        <source>This is not on this device any more</source>
        <translation>Esto ya no está en este dispositivo</translation>
    </message>
    <message>
        <source>Look at the list again; it may be among what was deleted.</source>
        <translation>Consulte la lista de nuevo; puede estar entre lo eliminado.</translation>
    </message>
    <message>
        <source>This was cancelled</source>
        <translation>Esto se canceló</translation>
    </message>
    <message>
        <source>Nothing of it was kept. Add it again if you want it kept.</source>
        <translation>No se guardó nada de ello. Añádalo de nuevo si quiere conservarlo.</translation>
    </message>
    <message>
        <source>The pulse was {bound} /min or less</source>
        <translation>El pulso era de {bound} /min o menos</translation>
    </message>
    <message>
        <source>The pulse was {bound} /min or more</source>
        <translation>El pulso era de {bound} /min o más</translation>
    </message>
    <message>
        <source>The respiratory rate was {bound} /min or less</source>
        <translation>La frecuencia respiratoria era de {bound} /min o menos</translation>
    </message>
    <message>
        <source>The respiratory rate was {bound} /min or more</source>
        <translation>La frecuencia respiratoria era de {bound} /min o más</translation>
    </message>
    <message>
        <source>The systolic blood pressure was {bound} mmHg or less</source>
        <translation>La presión arterial sistólica era de {bound} mmHg o menos</translation>
    </message>
    <message>
        <source>The systolic blood pressure was {bound} mmHg or more</source>
        <translation>La presión arterial sistólica era de {bound} mmHg o más</translation>
    </message>
    <message>
        <source>The diastolic blood pressure was {bound} mmHg or more</source>
        <translation>La presión arterial diastólica era de {bound} mmHg o más</translation>
    </message>
    <message>
        <source>The oxygen saturation was {bound} % or less</source>
        <translation>La saturación de oxígeno era del {bound} % o menos</translation>
    </message>
    <message>
        <source>The temperature was {bound} °C or less</source>
        <translation>La temperatura era de {bound} °C o menos</translation>
    </message>
    <message>
        <source>Somebody asked for help</source>
        <translation>Una persona pidió ayuda</translation>
    </message>
    <message>
        <source>A reading to look at</source>
        <translation>Una lectura por revisar</translation>
    </message>
    <message>
        <source>Preview: {name}</source>
        <translation>Vista previa: {name}</translation>
    </message>
    <message>
        <source>The page</source>
        <translation>La página</translation>
    </message>
    <message>
        <source>Page before</source>
        <translation>Página anterior</translation>
    </message>
    <message>
        <source>Next page</source>
        <translation>Página siguiente</translation>
    </message>
    <message>
        <source>Smaller</source>
        <translation>Reducir</translation>
    </message>
    <message>
        <source>Larger</source>
        <translation>Ampliar</translation>
    </message>
    <message>
        <source>Page {page} of {pages}</source>
        <translation>Página {page} de {pages}</translation>
    </message>
    <message>
        <source>Enrol this device</source>
        <translation>Registrar este dispositivo</translation>
    </message>
    <message>
        <source>Ask the clinic&apos;s administrator for a code. It is good for ten minutes and works once. Nothing is sent before each person has agreed.</source>
        <translation>Pida un código al administrador de la clínica. Vale durante diez minutos y sirve una sola vez. No se envía nada antes de que cada persona lo haya aceptado.</translation>
    </message>
    <message>
        <source>Code (spaces and hyphens do not matter):</source>
        <translation>Código (los espacios y los guiones no importan):</translation>
    </message>
    <message>
        <source>Code</source>
        <translation>Código</translation>
    </message>
    <message>
        <source>Address of the clinic&apos;s server</source>
        <translation>Dirección del servidor de la clínica</translation>
    </message>
    <message>
        <source>Address of the clinic&apos;s server:</source>
        <translation>Dirección del servidor de la clínica:</translation>
    </message>
    <message>
        <source>With the clinic at {server}.</source>
        <translation>En la clínica ({server}).</translation>
    </message>
    <message>
        <source>Enrol</source>
        <translation>Registrar</translation>
    </message>
    <message>
        <source>Type the code.</source>
        <translation>Escriba el código.</translation>
    </message>
    <message>
        <source>Type the address; it begins with https://.</source>
        <translation>Escriba la dirección; empieza por https://.</translation>
    </message>
    <message>
        <source>The clinic&apos;s server is being asked …</source>
        <translation>Consultando al servidor de la clínica …</translation>
    </message>
    <message>
        <source>This device is enrolled already. {clinic} Enrol it anew? The enrolment that it has is replaced once the new code was taken. With another clinic, what waits for this one is held back until the device is back with it.</source>
        <translation>Este dispositivo ya está inscrito. {clinic} ¿Inscribirlo de nuevo? La inscripción que tiene se sustituye cuando se acepte el código nuevo. Con otra clínica, lo que espera para esta se retiene hasta que el dispositivo vuelva a ella.</translation>
    </message>
    <message>
        <source>Enrolled already</source>
        <translation>Ya inscrito</translation>
    </message>
    <message>
        <source>Enrol it anew</source>
        <translation>Inscribir de nuevo</translation>
    </message>
    <message>
        <source>This device is enrolled with the clinic at {server}.</source>
        <translation>Este dispositivo está registrado en la clínica ({server}).</translation>
    </message>
    <message>
        <source>Leave the clinic at {server}? Nothing is sent any more, and what waits stays on this device. What was sent stays at the clinic, whose administrator should remove this device there too. To come back, a new code is needed.</source>
        <translation>¿Dejar la clínica ({server})? Ya no se envía nada más, y lo que está en espera se queda en este dispositivo. Lo enviado se queda en la clínica, cuyo administrador debería quitar también allí este dispositivo. Para volver se necesita un nuevo código.</translation>
    </message>
    <message>
        <source>Leave the clinic</source>
        <translation>Dejar la clínica</translation>
    </message>
    <message>
        <source>This device is enrolled with no clinic any more.</source>
        <translation>Este dispositivo ya no está registrado en ninguna clínica.</translation>
    </message>
    <message>
        <source>To be tried again: {count}.</source>
        <translation>Se volverá a intentar: {count}.</translation>
    </message>
    <message>
        <source>What waits is tried now.</source>
        <translation>Se está intentando ahora lo que estaba en espera.</translation>
    </message>
    <message>
        <source>Send also what was kept on this device before it could be sent? Only of people who have agreed to it, and nothing of guests.</source>
        <translation>¿Enviar también lo que se guardó en este dispositivo antes de que se pudiera enviar? Solo de quienes lo han aceptado, y nada de invitados.</translation>
    </message>
    <message>
        <source>Send earlier ones</source>
        <translation>Enviar lo anterior</translation>
    </message>
    <message>
        <source>Send it</source>
        <translation>Enviarlo</translation>
    </message>
    <message>
        <source>Waiting to be sent now, of what was kept earlier: {count}.</source>
        <translation>Ahora en espera de envío, de lo guardado antes: {count}.</translation>
    </message>
    <message>
        <source>There is nothing earlier that could be sent of people who have agreed.</source>
        <translation>No hay nada anterior que se pueda enviar de quienes lo han aceptado.</translation>
    </message>
    <message>
        <source>Data (*.json);;Table (*.csv)</source>
        <translation>Datos (*.json);;Tabla (*.csv)</translation>
    </message>
    <message>
        <source>Save what was refused</source>
        <translation>Guardar lo rechazado</translation>
    </message>
    <message>
        <source>Choose a person at the top first; a guest is asked each time.</source>
        <translation>Elija primero a una persona arriba; a un invitado se le pregunta cada vez.</translation>
    </message>
    <message>
        <source>Nothing more of {name} is sent. What was sent before stays at the clinic until {name} is deleted for ever.</source>
        <translation>Ya no se envía nada más de {name}. Lo enviado antes se queda en la clínica hasta que se elimine para siempre a {name}.</translation>
    </message>
    <message>
        <source>What is kept of {name} from now on is sent to the clinic.</source>
        <translation>Lo que se guarde de {name} a partir de ahora se envía a la clínica.</translation>
    </message>
    <message>
        <source>Nothing more that {name} says to the assistant or asks it is sent.</source>
        <translation>Ya no se envía nada de lo que {name} diga o pregunte al asistente.</translation>
    </message>
    <message>
        <source>What {name} says to the assistant and asks it is sent to the clinic.</source>
        <translation>Lo que {name} diga y pregunte al asistente se envía a la clínica.</translation>
    </message>
    <message>
        <source>Sharing of {name}</source>
        <translation>Compartir datos de {name}</translation>
    </message>
    <message>
        <source>Take it back</source>
        <translation>Revocar</translation>
    </message>
    <message>
        <source>Agree</source>
        <translation>Aceptar</translation>
    </message>
    <message>
        <source>Take it back for the assistant</source>
        <translation>Revocar lo del asistente</translation>
    </message>
    <message>
        <source>Decide for the assistant…</source>
        <translation>Decidir sobre el asistente…</translation>
    </message>
    <message>
        <source>Sending to the clinic</source>
        <translation>Envío a la clínica</translation>
    </message>
    <message>
        <source>The file that is being sent</source>
        <translation>El archivo que se está enviando</translation>
    </message>
    <message>
        <source>Stop sending this file</source>
        <translation>Dejar de enviar este archivo</translation>
    </message>
    <message>
        <source>Nothing waits and nothing was refused.</source>
        <translation>No hay nada en espera ni se rechazó nada.</translation>
    </message>
    <message>
        <source>What waits or was refused, the oldest first</source>
        <translation>Lo que está en espera o se rechazó, lo más antiguo primero</translation>
    </message>
    <message>
        <source>Since</source>
        <translation>Desde</translation>
    </message>
    <message>
        <source>How it stands</source>
        <translation>Estado</translation>
    </message>
    <message>
        <source>Try this again</source>
        <translation>Reintentar esto</translation>
    </message>
    <message>
        <source>Try all again</source>
        <translation>Reintentar todo</translation>
    </message>
    <message>
        <source>Show later ones</source>
        <translation>Mostrar posteriores</translation>
    </message>
    <message>
        <source>Export what was refused…</source>
        <translation>Exportar lo rechazado…</translation>
    </message>
    <message>
        <source>Send earlier ones…</source>
        <translation>Enviar lo anterior…</translation>
    </message>
    <message>
        <source>Not enrolled</source>
        <translation>Sin registrar</translation>
    </message>
    <message>
        <source>{sent} of {all} MB</source>
        <translation>{sent} de {all} MB</translation>
    </message>
    <message>
        <source>Readings to look at, the newest first</source>
        <translation>Lecturas por revisar, lo más reciente primero</translation>
    </message>
    <message>
        <source>Done: I have looked at it</source>
        <translation>Listo: la he revisado</translation>
    </message>
    <message>
        <source>Somebody should look at these readings and at whom they are of. None of them is a diagnosis.</source>
        <translation>Alguien debería revisar estas lecturas y ver de quién son. Ninguna de ellas es un diagnóstico.</translation>
    </message>
    <message>
        <source>PDF</source>
        <translation>PDF</translation>
    </message>
    <message>
        <source>Picture (PNG)</source>
        <translation>Imagen (PNG)</translation>
    </message>
    <message>
        <source>Picture (JPEG)</source>
        <translation>Imagen (JPEG)</translation>
    </message>
    <message>
        <source>Data (JSON)</source>
        <translation>Datos (JSON)</translation>
    </message>
    <message>
        <source>it did not arrive as it was sent</source>
        <translation>no llegó tal como se envió</translation>
    </message>
    <message>
        <source>it is of another type than it says</source>
        <translation>es de un tipo distinto del que indica</translation>
    </message>
    <message>
        <source>it is damaged</source>
        <translation>está dañado</translation>
    </message>
    <message>
        <source>it is of a rare kind</source>
        <translation>es de un tipo poco común</translation>
    </message>
    <message>
        <source>something follows behind its end</source>
        <translation>hay algo después de su final</translation>
    </message>
    <message>
        <source>another kind of file is inside it</source>
        <translation>contiene un archivo de otro tipo</translation>
    </message>
    <message>
        <source>it is locked</source>
        <translation>está bloqueado</translation>
    </message>
    <message>
        <source>it would do something when it is opened</source>
        <translation>haría algo al abrirse</translation>
    </message>
    <message>
        <source>it grows beyond measure when it is unpacked</source>
        <translation>crece sin medida al descomprimirse</translation>
    </message>
    <message>
        <source>it is too complicated</source>
        <translation>es demasiado complicado</translation>
    </message>
    <message>
        <source>it has too many pages</source>
        <translation>tiene demasiadas páginas</translation>
    </message>
    <message>
        <source>it has too many pixels</source>
        <translation>tiene demasiados píxeles</translation>
    </message>
    <message>
        <source>it says where it was taken</source>
        <translation>indica dónde se tomó</translation>
    </message>
    <message>
        <source>its kind of data is not known</source>
        <translation>no se conoce el tipo de sus datos</translation>
    </message>
    <message>
        <source>the virus scanner found something</source>
        <translation>el antivirus encontró algo</translation>
    </message>
    <message>
        <source>1 page</source>
        <translation>1 página</translation>
    </message>
    <message>
        <source>{count} pages</source>
        <translation>{count} páginas</translation>
    </message>
    <message>
        <source>{size} MB</source>
        <translation>{size} MB</translation>
    </message>
    <message>
        <source>Waits to be sent</source>
        <translation>En espera de envío</translation>
    </message>
    <message>
        <source>Being sent</source>
        <translation>Enviando</translation>
    </message>
    <message>
        <source>Being sent, {percent} %</source>
        <translation>Enviando, {percent} %</translation>
    </message>
    <message>
        <source>Not sent: it was refused</source>
        <translation>No enviado: se rechazó</translation>
    </message>
    <message>
        <source>Kept here; not sent for now</source>
        <translation>Guardado aquí; por ahora no se envía</translation>
    </message>
    <message>
        <source>Sent; looked at: clean</source>
        <translation>Enviado; examinado: sin problemas</translation>
    </message>
    <message>
        <source>Sent; held back by the clinic</source>
        <translation>Enviado; retenido por la clínica</translation>
    </message>
    <message>
        <source>Sent; held back by the clinic: {reason}</source>
        <translation>Enviado; retenido por la clínica: {reason}</translation>
    </message>
    <message>
        <source>Sent; could not be looked at yet</source>
        <translation>Enviado; aún no se pudo examinar</translation>
    </message>
    <message>
        <source>Sent; being looked at</source>
        <translation>Enviado; se está examinando</translation>
    </message>
    <message>
        <source>Sent</source>
        <translation>Enviado</translation>
    </message>
    <message>
        <source>Kept here</source>
        <translation>Guardado aquí</translation>
    </message>
    <message>
        <source>Not asked yet. Nothing is sent.</source>
        <translation>Aún no se ha preguntado. No se envía nada.</translation>
    </message>
    <message>
        <source>Agreed in writing, noted on {when}. What is kept is sent.</source>
        <translation>Aceptado por escrito, anotado el {when}. Lo guardado se envía.</translation>
    </message>
    <message>
        <source>Agreed on {when}. What is kept is sent.</source>
        <translation>Aceptado el {when}. Lo guardado se envía.</translation>
    </message>
    <message>
        <source>Not agreed ({when}). Nothing is sent.</source>
        <translation>No aceptado ({when}). No se envía nada.</translation>
    </message>
    <message>
        <source>Assistant: agreed in writing. What is said to it and asked is sent.</source>
        <translation>Asistente: aceptado por escrito. Lo que se le dice y pregunta se envía.</translation>
    </message>
    <message>
        <source>Assistant: not asked yet. Nothing that is said to it or asked is sent.</source>
        <translation>Asistente: aún no se ha preguntado. No se envía nada de lo que se le dice o pregunta.</translation>
    </message>
    <message>
        <source>Assistant: agreed on {when}. What is said to it and asked is sent.</source>
        <translation>Asistente: aceptado el {when}. Lo que se le dice y pregunta se envía.</translation>
    </message>
    <message>
        <source>Assistant: not agreed ({when}). Nothing that is said to it or asked is sent.</source>
        <translation>Asistente: no aceptado ({when}). No se envía nada de lo que se le dice o pregunta.</translation>
    </message>
    <message>
        <source>Ask the clinic&apos;s administrator.</source>
        <translation>Consulte al administrador de la clínica.</translation>
    </message>
    <message>
        <source>Install the newest version and try it again. Until then it stays on this device.</source>
        <translation>Instale la versión más reciente e inténtelo de nuevo. Hasta entonces se queda en este dispositivo.</translation>
    </message>
    <message>
        <source>Try it again later. If this stays, tell whoever looks after the server.</source>
        <translation>Inténtelo de nuevo más tarde. Si sigue ocurriendo, avise a quien se encarga del servidor.</translation>
    </message>
    <message>
        <source>The clinic has something else under the same identifier.</source>
        <translation>La clínica tiene otra cosa con el mismo identificador.</translation>
    </message>
    <message>
        <source>Export it and tell whoever looks after the server. It stays on this device.</source>
        <translation>Expórtelo y avise a quien se encarga del servidor. Se queda en este dispositivo.</translation>
    </message>
    <message>
        <source>The server does not take it as it is.</source>
        <translation>El servidor no lo acepta tal como está.</translation>
    </message>
    <message>
        <source>The server does not take it.</source>
        <translation>El servidor no lo acepta.</translation>
    </message>
    <message>
        <source>The data of this person were erased at the clinic, which takes no more of them.</source>
        <translation>Los datos de esta persona se borraron en la clínica, que ya no acepta más datos suyos.</translation>
    </message>
    <message>
        <source>It is larger than the clinic takes.</source>
        <translation>Es más grande de lo que acepta la clínica.</translation>
    </message>
    <message>
        <source>Add the file again in a smaller form, and delete this one.</source>
        <translation>Añada el archivo de nuevo con un tamaño menor y elimine este.</translation>
    </message>
    <message>
        <source>The clinic does not take files of this kind.</source>
        <translation>La clínica no acepta archivos de este tipo.</translation>
    </message>
    <message>
        <source>Add it again as a PDF or a picture, and delete this one.</source>
        <translation>Añádalo de nuevo como PDF o imagen y elimine este.</translation>
    </message>
    <message>
        <source>The clinic does not allow this device to send it.</source>
        <translation>La clínica no permite que este dispositivo lo envíe.</translation>
    </message>
    <message>
        <source>The server does not know what this is about.</source>
        <translation>El servidor no sabe a qué se refiere esto.</translation>
    </message>
    <message>
        <source>The server does not understand what was sent.</source>
        <translation>El servidor no entiende lo que se envió.</translation>
    </message>
    <message>
        <source>It was kept by another version of Health Helper and cannot be sent by this one.</source>
        <translation>Lo guardó otra versión de Health Helper y esta no puede enviarlo.</translation>
    </message>
    <message>
        <source>The clinic has put the file in quarantine: it does not look as it should.</source>
        <translation>La clínica ha puesto el archivo en cuarentena: no es como debería.</translation>
    </message>
    <message>
        <source>Look at the file. Add it again in another form, or show it to the staff.</source>
        <translation>Revise el archivo. Añádalo de nuevo en otra forma o muéstrelo al personal.</translation>
    </message>
    <message>
        <source>The server could not look into the file.</source>
        <translation>El servidor no pudo examinar el archivo.</translation>
    </message>
    <message>
        <source>The file on this device is damaged or missing.</source>
        <translation>El archivo de este dispositivo está dañado o falta.</translation>
    </message>
    <message>
        <source>The file is not what it was when it was added.</source>
        <translation>El archivo ya no es el que era cuando se añadió.</translation>
    </message>
    <message>
        <source>Sending it was stopped here.</source>
        <translation>El envío se detuvo aquí.</translation>
    </message>
    <message>
        <source>It is sent once somebody presses “Try this again”.</source>
        <translation>Se envía cuando alguien pulse «Reintentar esto».</translation>
    </message>
    <message>
        <source>The clinic has used what it may use this month.</source>
        <translation>La clínica ha agotado lo que puede usar este mes.</translation>
    </message>
    <message>
        <source>Try it again next month, or ask the clinic&apos;s administrator.</source>
        <translation>Inténtelo de nuevo el mes que viene o consulte al administrador de la clínica.</translation>
    </message>
    <message>
        <source>This computer has no connection to a network.</source>
        <translation>Este equipo no tiene conexión a ninguna red.</translation>
    </message>
    <message>
        <source>Plug the network in or switch it on. It is sent by itself then.</source>
        <translation>Conecte o active la red. Después se envía por sí solo.</translation>
    </message>
    <message>
        <source>Nobody in this network knows the server&apos;s name.</source>
        <translation>Nadie en esta red conoce el nombre del servidor.</translation>
    </message>
    <message>
        <source>The server refuses the connection.</source>
        <translation>El servidor rechaza la conexión.</translation>
    </message>
    <message>
        <source>The connection broke off.</source>
        <translation>Se interrumpió la conexión.</translation>
    </message>
    <message>
        <source>There is no way from this network to the server.</source>
        <translation>Desde esta red no se puede llegar al servidor.</translation>
    </message>
    <message>
        <source>The server did not answer in time.</source>
        <translation>El servidor no respondió a tiempo.</translation>
    </message>
    <message>
        <source>Sending was ended.</source>
        <translation>El envío se terminó.</translation>
    </message>
    <message>
        <source>It is sent when the program runs again.</source>
        <translation>Se envía cuando el programa vuelva a ejecutarse.</translation>
    </message>
    <message>
        <source>No secure connection to the server can be made in this network.</source>
        <translation>En esta red no se puede establecer una conexión segura con el servidor.</translation>
    </message>
    <message>
        <source>Log in to the network if it asks for it, or use another one.</source>
        <translation>Inicie sesión en la red si esta lo pide o use otra.</translation>
    </message>
    <message>
        <source>The certificate shown for the server is not trusted by this computer.</source>
        <translation>Este equipo no confía en el certificado que se presentó como el del servidor.</translation>
    </message>
    <message>
        <source>Ask whoever manages this computer to install the network&apos;s certificate, or use another network.</source>
        <translation>Pida a quien administra este equipo que instale el certificado de la red o use otra red.</translation>
    </message>
    <message>
        <source>The certificate shown is for another server.</source>
        <translation>El certificado presentado es de otro servidor.</translation>
    </message>
    <message>
        <source>Log in to the network if it asks for it; else check the server&apos;s address.</source>
        <translation>Inicie sesión en la red si esta lo pide; si no, revise la dirección del servidor.</translation>
    </message>
    <message>
        <source>The server&apos;s certificate has expired, if this computer&apos;s date is right.</source>
        <translation>El certificado del servidor ha caducado, si la fecha de este equipo es correcta.</translation>
    </message>
    <message>
        <source>Check the date and time of this computer.</source>
        <translation>Revise la fecha y la hora de este equipo.</translation>
    </message>
    <message>
        <source>The certificates that this computer&apos;s policy names could not be read.</source>
        <translation>No se pudieron leer los certificados que indica la directiva de este equipo.</translation>
    </message>
    <message>
        <source>Ask whoever manages this computer to put them right.</source>
        <translation>Pida a quien administra este equipo que los corrija.</translation>
    </message>
    <message>
        <source>The clock of this computer is wrong.</source>
        <translation>El reloj de este equipo está mal.</translation>
    </message>
    <message>
        <source>Set its date and time.</source>
        <translation>Ajuste su fecha y su hora.</translation>
    </message>
    <message>
        <source>This network wants a login first.</source>
        <translation>Esta red pide antes iniciar sesión.</translation>
    </message>
    <message>
        <source>The proxy of this network did not let the connection pass.</source>
        <translation>El proxy de esta red no dejó pasar la conexión.</translation>
    </message>
    <message>
        <source>Ask whoever manages the network to let this computer reach the server.</source>
        <translation>Pida a quien administra la red que permita a este equipo llegar al servidor.</translation>
    </message>
    <message>
        <source>The proxy that is set for this computer cannot be used.</source>
        <translation>El proxy configurado en este equipo no se puede usar.</translation>
    </message>
    <message>
        <source>Ask whoever manages this computer to set another one.</source>
        <translation>Pida a quien administra este equipo que configure otro.</translation>
    </message>
    <message>
        <source>The server could not do it at that moment.</source>
        <translation>El servidor no pudo hacerlo en ese momento.</translation>
    </message>
    <message>
        <source>The server took no more at that moment.</source>
        <translation>El servidor no aceptaba más en ese momento.</translation>
    </message>
    <message>
        <source>The time to send this file was over.</source>
        <translation>Se agotó el tiempo para enviar este archivo.</translation>
    </message>
    <message>
        <source>The server&apos;s answer could not be read.</source>
        <translation>No se pudo leer la respuesta del servidor.</translation>
    </message>
    <message>
        <source>The server did not accept this device&apos;s sign-in just then.</source>
        <translation>El servidor no aceptó en ese momento las credenciales de este dispositivo.</translation>
    </message>
    <message>
        <source>The clinic has ended the enrolment of this device.</source>
        <translation>La clínica ha dado de baja este dispositivo.</translation>
    </message>
    <message>
        <source>Ask the clinic&apos;s administrator for a new code and enrol it anew.</source>
        <translation>Pida un nuevo código al administrador de la clínica y regístrelo de nuevo.</translation>
    </message>
    <message>
        <source>The server does not accept this device&apos;s sign-in any more.</source>
        <translation>El servidor ya no acepta las credenciales de este dispositivo.</translation>
    </message>
    <message>
        <source>This device is not enrolled with a clinic.</source>
        <translation>Este dispositivo no está registrado en ninguna clínica.</translation>
    </message>
    <message>
        <source>Ask the clinic&apos;s administrator for a code and enrol it.</source>
        <translation>Pida un código al administrador de la clínica y regístrelo.</translation>
    </message>
    <message>
        <source>The reason is one of a newer version: {code}. {remedy}</source>
        <translation>El motivo es de una versión más nueva: {code}. {remedy}</translation>
    </message>
    <message>
        <source>Not connected</source>
        <translation>Sin conexión</translation>
    </message>
    <message>
        <source>Certificate not trusted</source>
        <translation>Certificado no fiable</translation>
    </message>
    <message>
        <source>The network wants a login</source>
        <translation>La red pide iniciar sesión</translation>
    </message>
    <message>
        <source>Enrolment ended</source>
        <translation>Dispositivo dado de baja</translation>
    </message>
    <message>
        <source>Sign-in lost</source>
        <translation>Credenciales no válidas</translation>
    </message>
    <message>
        <source>Key store locked</source>
        <translation>Almacén de claves bloqueado</translation>
    </message>
    <message>
        <source>Sending failed</source>
        <translation>El envío falló</translation>
    </message>
    <message>
        <source>Waits until unlocked</source>
        <translation>Espera al desbloqueo</translation>
    </message>
    <message>
        <source>Sending to the clinic: {state}</source>
        <translation>Envío a la clínica: {state}</translation>
    </message>
    <message>
        <source>Refused: {count}</source>
        <translation>Rechazados: {count}</translation>
    </message>
    <message>
        <source>All sent</source>
        <translation>Todo enviado</translation>
    </message>
    <message>
        <source>Sending {count}</source>
        <translation>Enviando {count}</translation>
    </message>
    <message>
        <source>{count} waiting</source>
        <translation>En espera: {count}</translation>
    </message>
    <message>
        <source>Waiting: {count}. Refused: {refused}.</source>
        <translation>En espera: {count}. Rechazados: {refused}.</translation>
    </message>
    <message>
        <source>Held back: {count} (deleted and can be put back, or for another clinic).</source>
        <translation>Retenidos: {count} (eliminados que aún se pueden recuperar, o para otra clínica).</translation>
    </message>
    <message>
        <source>Nothing was sent yet.</source>
        <translation>Todavía no se ha enviado nada.</translation>
    </message>
    <message>
        <source>Last sent: time unknown.</source>
        <translation>Último envío: hora desconocida.</translation>
    </message>
    <message>
        <source>Last sent: {when}.</source>
        <translation>Último envío: {when}.</translation>
    </message>
    <message>
        <source>Another program of Health Helper on this computer is sending. Nothing has to be done.</source>
        <translation>Otro programa de Health Helper en este equipo está enviando. No hay que hacer nada.</translation>
    </message>
    <message>
        <source>This device is enrolled with no clinic. Nothing is sent.</source>
        <translation>Este dispositivo no está registrado en ninguna clínica. No se envía nada.</translation>
    </message>
    <message>
        <source>Waits</source>
        <translation>En espera</translation>
    </message>
    <message>
        <source>Is being sent</source>
        <translation>Enviando</translation>
    </message>
    <message>
        <source>Put aside</source>
        <translation>Apartado</translation>
    </message>
    <message>
        <source>Held back</source>
        <translation>Retenido</translation>
    </message>
    <message>
        <source>Erasure of all that was sent of somebody</source>
        <translation>Borrado de todo lo enviado de una persona</translation>
    </message>
    <message>
        <source>Tried {count} times.</source>
        <translation>Intentos: {count}.</translation>
    </message>
    <message>
        <source>Somebody</source>
        <translation>Una persona</translation>
    </message>
    <message>
        <source>One value is outside the range for which nobody has to look: {why}. That is no diagnosis. Please show it to the staff, or to a nurse or doctor. If you feel unwell, tell somebody near you or call for help at once.</source>
        <translation>Un valor está fuera del intervalo en el que nadie tiene que revisarlo: {why}. Esto no es un diagnóstico. Por favor, muéstrelo al personal, o a un profesional de enfermería o médico. Si se siente mal, dígaselo a alguien cercano o pida ayuda de inmediato.</translation>
    </message>
    <message>
        <source>It may help to sit still for five minutes and to measure again.</source>
        <translation>Puede ayudar quedarse sentado sin moverse cinco minutos y medir de nuevo.</translation>
    </message>
    <message>
        <source>For staff ({count})</source>
        <translation>Para el personal ({count})</translation>
    </message>
    <message>
        <source>Answered on this device: the store is locked.</source>
        <translation>Respondido en este dispositivo: el almacén de datos está bloqueado.</translation>
    </message>
    <message>
        <source>Answered on this device: it belongs to no clinic.</source>
        <translation>Respondido en este dispositivo: no pertenece a ninguna clínica.</translation>
    </message>
    <message>
        <source>The policy of this computer names no FHIR server</source>
        <translation>La directiva de este equipo no indica ningún servidor FHIR</translation>
    </message>
    <message>
        <source>Whoever manages this computer sets fhir_url in {file}.</source>
        <translation>Quien administra este equipo indica fhir_url en {file}.</translation>
    </message>
    <message>
        <source>What the assistant says cannot be read ({why})</source>
        <translation>No se puede leer lo que dice el asistente ({why})</translation>
    </message>
    <message>
        <source>The rules that notice emergencies cannot be read ({why})</source>
        <translation>No se pueden leer las reglas que detectan urgencias ({why})</translation>
    </message>
    <message>
        <source>There are no rules for the language {code}</source>
        <translation>No hay reglas para el idioma {code}</translation>
    </message>
    <message>
        <source>Choose one of: {codes}.</source>
        <translation>Elija uno de: {codes}.</translation>
    </message>
    <message>
        <source>Nothing was noticed. That does not mean that nothing is wrong.</source>
        <translation>No se detectó nada. Eso no significa que no pase nada.</translation>
    </message>
    <message>
        <source>Line {number} of standard input is not as agreed</source>
        <translation>La línea {number} de la entrada estándar no es como se acordó</translation>
    </message>
    <message>
        <source>Give lines such as {example}.</source>
        <translation>Dé líneas como {example}.</translation>
    </message>
    <message>
        <source>No loudspeaker was found</source>
        <translation>No se encontró ningún altavoz</translation>
    </message>
    <message>
        <source>Plug one in, or switch it on. Until then answers are only shown.</source>
        <translation>Conecte uno, o enciéndalo. Hasta entonces las respuestas solo se muestran.</translation>
    </message>
    <message>
        <source>Close other programs that use it, then try again. Until then answers are only shown.</source>
        <translation>Cierre otros programas que lo usen e inténtelo de nuevo. Hasta entonces las respuestas solo se muestran.</translation>
    </message>
    <message>
        <source>The loudspeaker was unplugged, or the sound system has stopped</source>
        <translation>Se desconectó el altavoz, o el sistema de sonido se detuvo</translation>
    </message>
    <message>
        <source>Plug it in again. Until then answers are only shown.</source>
        <translation>Conéctelo de nuevo. Hasta entonces las respuestas solo se muestran.</translation>
    </message>
    <message>
        <source>Nothing could be sent when it was last tried ({code})</source>
        <translation>La última vez que se intentó no se pudo enviar nada ({code})</translation>
    </message>
    <message>
        <source>Try it now, to see why: health-helper sync --once.</source>
        <translation>Inténtelo ahora para ver por qué: health-helper sync --once.</translation>
    </message>
    <message>
        <source>--begin-anew stands alone</source>
        <translation>--begin-anew está solo</translation>
    </message>
    <message>
        <source>Write it behind --repair.</source>
        <translation>Escríbalo detrás de --repair.</translation>
    </message>
    <message>
        <source>The articles cannot be read ({why})</source>
        <translation>No se pueden leer los artículos ({why})</translation>
    </message>
    <message>
        <source>{file} cannot be read</source>
        <translation>No se puede leer {file}</translation>
    </message>
    <message>
        <source>{file} is not as agreed</source>
        <translation>{file} no es como se acordó</translation>
    </message>
    <message>
        <source>{file} is not the listed one and is refused</source>
        <translation>{file} no es el de la lista y se rechaza</translation>
    </message>
    <message>
        <source>{file} is no list of tokens</source>
        <translation>{file} no es una lista de tokens</translation>
    </message>
    <message>
        <source>Speech cannot be understood on this device: {why}</source>
        <translation>No se puede entender el habla en este dispositivo: {why}</translation>
    </message>
    <message>
        <source>Whoever manages this computer puts the model into its folder again. Typing works.</source>
        <translation>Quien administra este equipo vuelve a poner el modelo en su carpeta. Escribir sí funciona.</translation>
    </message>
    <message>
        <source>the library sherpa-onnx is missing</source>
        <translation>falta la biblioteca sherpa-onnx</translation>
    </message>
    <message>
        <source>the model cannot be loaded ({kind})</source>
        <translation>no se puede cargar el modelo ({kind})</translation>
    </message>
    <message>
        <source>on this device</source>
        <translation>en este dispositivo</translation>
    </message>
    <message>
        <source>What was said could not be understood on this device</source>
        <translation>No se pudo entender en este dispositivo lo que se dijo</translation>
    </message>
    <message>
        <source>Say it again, or type it.</source>
        <translation>Dígalo de nuevo o escríbalo.</translation>
    </message>
    <message>
        <source>this device&apos;s voice</source>
        <translation>la voz de este dispositivo</translation>
    </message>
    <message>
        <source>Nothing on this device can read this aloud</source>
        <translation>Nada en este dispositivo puede leer esto en voz alta</translation>
    </message>
    <message>
        <source>Install espeak-ng, or a voice of the system for this language. The answer is shown.</source>
        <translation>Instale espeak-ng o una voz del sistema para este idioma. La respuesta se muestra.</translation>
    </message>
    <message>
        <source>The clinic&apos;s voice sent no sound</source>
        <translation>La voz de la clínica no envió ningún sonido</translation>
    </message>
    <message>
        <source>The answer is shown; try again later.</source>
        <translation>La respuesta se muestra; inténtelo de nuevo más tarde.</translation>
    </message>
    <message>
        <source>{file} cannot be read as sentences</source>
        <translation>{file} no se puede leer como frases</translation>
    </message>
    <message>
        <source>Each line is an object with text and level.</source>
        <translation>Cada línea es un objeto con text y level.</translation>
    </message>
    <message>
        <source>Answered on this device, as whoever manages this computer has set it.</source>
        <translation>Respondido en este dispositivo, como lo ha configurado quien administra este equipo.</translation>
    </message>
    <message>
        <source>the clinic&apos;s voice</source>
        <translation>la voz de la clínica</translation>
    </message>
    <message>
        <source>the clinic&apos;s</source>
        <translation>de la clínica</translation>
    </message>
    <message>
        <source>Listening has failed, by a bug of Health Helper&apos;s own. Typing works.</source>
        <translation>La escucha falló por un error propio de Health Helper. Escribir sí funciona.</translation>
    </message>
    <message>
        <source>The microphone gives perfect silence. Switch it on, raise its level in the system&apos;s sound settings, or allow this program to use it.</source>
        <translation>El micrófono solo da un silencio total. Enciéndalo, suba su nivel en los ajustes de sonido del sistema o permita que este programa lo use.</translation>
    </message>
    <message>
        <source>Reading aloud has failed, by a bug of Health Helper&apos;s own.</source>
        <translation>La lectura en voz alta falló por un error propio de Health Helper.</translation>
    </message>
    <message>
        <source>The answer is shown.</source>
        <translation>La respuesta se muestra.</translation>
    </message>
    <message>
        <source>This failed, by a bug of Health Helper&apos;s own. Try again.</source>
        <translation>Esto no funcionó por un error propio de Health Helper. Inténtelo de nuevo.</translation>
    </message>
    <message>
        <source>Nothing was heard. Hold the button down while you speak.</source>
        <translation>No se oyó nada. Mantenga pulsado el botón mientras habla.</translation>
    </message>
    <message>
        <source>What was said could not be understood. Say it again, or type it.</source>
        <translation>No se pudo entender lo que se dijo. Dígalo de nuevo o escríbalo.</translation>
    </message>
    <message>
        <source>This failed, by a bug of Health Helper&apos;s own.</source>
        <translation>Esto no funcionó por un error propio de Health Helper.</translation>
    </message>
    <message>
        <source>What you said could not be checked for an emergency, so it is not answered. If you feel very ill, call the emergency number or a member of staff now. {why}</source>
        <translation>No se pudo comprobar si lo que usted dijo es una emergencia, por eso no se responde. Si se siente muy mal, llame ahora al número de emergencias o avise a una persona del personal. {why}</translation>
    </message>
    <message>
        <source>The answer is not whole.</source>
        <translation>La respuesta no está completa.</translation>
    </message>
    <message>
        <source>The answer was stopped.</source>
        <translation>La respuesta se detuvo.</translation>
    </message>
    <message>
        <source>It can be asked again now.</source>
        <translation>Ya se le puede preguntar de nuevo.</translation>
    </message>
    <message>
        <source>Answered on this device: nobody has agreed to ask the clinic&apos;s cloud yet.</source>
        <translation>Respondido en este dispositivo: todavía nadie ha aceptado que se pregunte a la nube de la clínica.</translation>
    </message>
    <message>
        <source>Answered on this device, as you wish.</source>
        <translation>Respondido en este dispositivo, como usted desea.</translation>
    </message>
    <message>
        <source>Answered on this device: the clinic&apos;s cloud has too much to do just now.</source>
        <translation>Respondido en este dispositivo: la nube de la clínica tiene demasiado trabajo en este momento.</translation>
    </message>
    <message>
        <source>Answered on this device: the clinic&apos;s cloud did not answer just now.</source>
        <translation>Respondido en este dispositivo: la nube de la clínica no respondió en este momento.</translation>
    </message>
    <message>
        <source>Nobody can be told from here. Speak to a member of staff, or ask somebody near you.</source>
        <translation>Desde aquí no se puede avisar a nadie. Hable con una persona del personal o pida ayuda a alguien cercano.</translation>
    </message>
    <message>
        <source>Nothing here can make text of speech now. Please type.</source>
        <translation>Ahora nada aquí puede convertir el habla en texto. Por favor, escriba.</translation>
    </message>
    <message>
        <source>The clinic&apos;s cloud has too much to do. It can be asked again in {seconds} s.</source>
        <translation>La nube de la clínica tiene demasiado trabajo. Se le puede preguntar de nuevo en {seconds} s.</translation>
    </message>
    <message>
        <source>The clinic&apos;s cloud has too much to do. It can be asked again in {minutes} min.</source>
        <translation>La nube de la clínica tiene demasiado trabajo. Se le puede preguntar de nuevo en {minutes} min.</translation>
    </message>
    <message>
        <source>The clinic&apos;s cloud did not answer in full; this device has answered itself.</source>
        <translation>La nube de la clínica no respondió por completo; ha respondido este mismo dispositivo.</translation>
    </message>
    <message>
        <source>The clinic&apos;s cloud had nothing to say; this device has answered itself.</source>
        <translation>La nube de la clínica no tenía nada que decir; ha respondido este mismo dispositivo.</translation>
    </message>
    <message>
        <source>A part of the clinic&apos;s answer could not be proved and is not shown; this device has answered itself.</source>
        <translation>Una parte de la respuesta de la clínica no se pudo comprobar y no se muestra; ha respondido este mismo dispositivo.</translation>
    </message>
    <message>
        <source>Type</source>
        <translation>Escribir</translation>
    </message>
    <message>
        <source>Press a button and talk</source>
        <translation>Pulsar un botón y hablar</translation>
    </message>
    <message>
        <source>Just talk</source>
        <translation>Solo hablar</translation>
    </message>
    <message>
        <source>Switch the microphone on</source>
        <translation>Encender el micrófono</translation>
    </message>
    <message>
        <source>Switch the microphone off</source>
        <translation>Apagar el micrófono</translation>
    </message>
    <message>
        <source>Ask again in {seconds} s</source>
        <translation>Preguntar de nuevo en {seconds} s</translation>
    </message>
    <message>
        <source>Ask again in {minutes} min</source>
        <translation>Preguntar de nuevo en {minutes} min</translation>
    </message>
    <message>
        <source>Staff can see on this device that you asked for help. If nobody comes soon, ask somebody near you.</source>
        <translation>El personal puede ver en este dispositivo que usted ha pedido ayuda. Si nadie viene pronto, pida ayuda a alguien cercano.</translation>
    </message>
    <message>
        <source>Call your local emergency number</source>
        <translation>Llame a su número de emergencias local</translation>
    </message>
    <message>
        <source>Call {number}</source>
        <translation>Llame al {number}</translation>
    </message>
    <message>
        <source>If it gets worse, call {number}</source>
        <translation>Si empeora, llame al {number}</translation>
    </message>
    <message>
        <source>This may be an emergency</source>
        <translation>Esto puede ser una emergencia</translation>
    </message>
    <message>
        <source>This should be looked at soon</source>
        <translation>Esto debería revisarse pronto</translation>
    </message>
    <message>
        <source>I hear you …</source>
        <translation>Le escucho …</translation>
    </message>
    <message>
        <source>One moment …</source>
        <translation>Un momento …</translation>
    </message>
    <message>
        <source>Answering …</source>
        <translation>Respondiendo …</translation>
    </message>
    <message>
        <source>Reading aloud. Stop it with the button, or by speaking.</source>
        <translation>Leyendo en voz alta. Deténgalo con el botón o hablando.</translation>
    </message>
    <message>
        <source>Reading aloud.</source>
        <translation>Leyendo en voz alta.</translation>
    </message>
    <message>
        <source>Read the message first.</source>
        <translation>Lea primero el mensaje.</translation>
    </message>
    <message>
        <source>The microphone is off.</source>
        <translation>El micrófono está apagado.</translation>
    </message>
    <message>
        <source>Speak now.</source>
        <translation>Hable ahora.</translation>
    </message>
    <message>
        <source>Hold the button while you talk, or press it before and after.</source>
        <translation>Mantenga pulsado el botón mientras habla, o púlselo antes y después.</translation>
    </message>
    <message>
        <source>Listening. Say something whenever you like.</source>
        <translation>Escuchando. Diga algo cuando quiera.</translation>
    </message>
    <message>
        <source>Heard by: {name}.</source>
        <translation>Reconocimiento de voz: {name}.</translation>
    </message>
    <message>
        <source>Answered by: {name}.</source>
        <translation>Respuestas: {name}.</translation>
    </message>
    <message>
        <source>Read aloud by: {name}.</source>
        <translation>Lectura en voz alta: {name}.</translation>
    </message>
    <message>
        <source>Microphone: {name}.</source>
        <translation>Micrófono: {name}.</translation>
    </message>
    <message>
        <source>Broken off here.</source>
        <translation>Se interrumpió aquí.</translation>
    </message>
    <message>
        <source>You</source>
        <translation>Usted</translation>
    </message>
    <message>
        <source>Important</source>
        <translation>Importante</translation>
    </message>
    <message>
        <source>Assistant, on this device</source>
        <translation>Asistente, en este dispositivo</translation>
    </message>
    <message>
        <source>Assistant, from the clinic</source>
        <translation>Asistente, de la clínica</translation>
    </message>
    <message>
        <source>Source {id}, a measurement: {title}</source>
        <translation>Fuente {id}, una medición: {title}</translation>
    </message>
    <message>
        <source>Source {id}, a document: {title}</source>
        <translation>Fuente {id}, un documento: {title}</translation>
    </message>
    <message>
        <source>Source {id}: {title}</source>
        <translation>Fuente {id}: {title}</translation>
    </message>
    <message>
        <source>This has {count} letters; at most {most} can be asked at once.</source>
        <translation>Esto tiene {count} caracteres; se pueden preguntar como máximo {most} de una vez.</translation>
    </message>
    <message>
        <source>May what you say to the assistant and ask it be sent to the clinic?</source>
        <translation>¿Se puede enviar a la clínica lo que usted diga y pregunte al asistente?</translation>
    </message>
    <message>
        <source>What is sent: what you say, as sound, to be written down; what you say and type, as text; the last measurements; the documents that you agreed to send; and your age as a range of years.</source>
        <translation>Qué se envía: lo que usted diga, como sonido, para pasarlo a texto; lo que diga y escriba, como texto; las últimas mediciones; los documentos que aceptó enviar; y su edad como intervalo de años.</translation>
    </message>
    <message>
        <source>What is never sent: your name, your record number, and the pictures of a scan.</source>
        <translation>Lo que nunca se envía: su nombre, su número de historia clínica y las imágenes de una medición.</translation>
    </message>
    <message>
        <source>If you say no, you type or are understood on this device only, and the answers come from this device.</source>
        <translation>Si dice que no, usted escribe, o lo que dice se entiende solo en este dispositivo, y las respuestas vienen de este dispositivo.</translation>
    </message>
    <message>
        <source>Forget this conversation</source>
        <translation>Borrar esta conversación</translation>
    </message>
    <message>
        <source>Forget all that was said here? It can&apos;t be brought back. What staff were told stays with them.</source>
        <translation>¿Borrar todo lo que se dijo aquí? No se puede recuperar. Lo que se comunicó al personal lo conserva el personal.</translation>
    </message>
    <message>
        <source>Forget it</source>
        <translation>Borrarla</translation>
    </message>
    <message>
        <source>Somebody here was told that they may need help at once, and did not say that they had read it.</source>
        <translation>Aquí se avisó a una persona de que puede necesitar ayuda de inmediato, y no indicó que lo hubiera leído.</translation>
    </message>
    <message>
        <source>Speed of reading aloud</source>
        <translation>Velocidad de la lectura</translation>
    </message>
    <message>
        <source>Voice</source>
        <translation>Voz</translation>
    </message>
    <message>
        <source>Try how it is read aloud</source>
        <translation>Probar cómo se lee en voz alta</translation>
    </message>
    <message>
        <source>So the assistant reads its answers aloud, and what may be an emergency. Where the clinic&apos;s voice reads, only the speed holds.</source>
        <translation>Así lee el asistente en voz alta sus respuestas y lo que puede ser una emergencia. Donde lee la voz de la clínica, solo vale la velocidad.</translation>
    </message>
    <message>
        <source>The system&apos;s choice</source>
        <translation>La que elija el sistema</translation>
    </message>
    <message>
        <source>This is how it is read aloud. Your heart rate was 72 beats a minute.</source>
        <translation>Así se lee en voz alta. Su frecuencia cardíaca fue de 72 latidos por minuto.</translation>
    </message>
    <message>
        <source>Stop reading</source>
        <translation>Parar la lectura</translation>
    </message>
    <message>
        <source>This device has no voice for this language. Install espeak-ng, or a voice of the system for it.</source>
        <translation>Este dispositivo no tiene voz para este idioma. Instale espeak-ng o una voz del sistema para él.</translation>
    </message>
    <message>
        <source>I have read this</source>
        <translation>He leído esto</translation>
    </message>
    <message>
        <source>Your question</source>
        <translation>Su pregunta</translation>
    </message>
    <message>
        <source>Type your question. Enter sends it.</source>
        <translation>Escriba su pregunta. Se envía con Entrar.</translation>
    </message>
    <message>
        <source>Stop talking</source>
        <translation>Dejar de hablar</translation>
    </message>
    <message>
        <source>Talk</source>
        <translation>Hablar</translation>
    </message>
    <message>
        <source>Did this help?</source>
        <translation>¿Le sirvió esto?</translation>
    </message>
    <message>
        <source>Yes</source>
        <translation>Sí</translation>
    </message>
    <message>
        <source>Yes, this helped</source>
        <translation>Sí, esto sirvió</translation>
    </message>
    <message>
        <source>No</source>
        <translation>No</translation>
    </message>
    <message>
        <source>No, this did not help</source>
        <translation>No, esto no sirvió</translation>
    </message>
    <message>
        <source>Read aloud</source>
        <translation>Leer en voz alta</translation>
    </message>
    <message>
        <source>Conversation</source>
        <translation>Conversación</translation>
    </message>
    <message>
        <source>Ask about what was measured here, or what the numbers mean.</source>
        <translation>Pregunte por lo que se midió aquí o qué significan los números.</translation>
    </message>
    <message>
        <source>To the newest</source>
        <translation>A lo más nuevo</translation>
    </message>
    <message>
        <source>You, just now</source>
        <translation>Usted, ahora</translation>
    </message>
</context>
</TS>
