<?xml version="1.0" encoding="utf-8"?>
<!DOCTYPE TS>
<TS version="2.1" language="ar" sourcelanguage="en">
<context>
    <name></name>
    <message>
        <source>Starting: getting the picture and the measurement ready.</source>
        <translation>جارٍ البدء: تجهيز الصورة والقياس.</translation>
    </message>
    <message>
        <source>No picture comes: check cable or network. Waiting up to 10 s.</source>
        <translation>لا تصل أي صورة: تحقق من الكابل أو الشبكة. الانتظار حتى 10 ثوانٍ.</translation>
    </message>
    <message>
        <source>Working out the result.</source>
        <translation>جارٍ حساب النتيجة.</translation>
    </message>
    <message>
        <source>Looking for the pulse; the first number takes about ten seconds.</source>
        <translation>جارٍ البحث عن النبض؛ يظهر أول رقم بعد نحو عشر ثوانٍ.</translation>
    </message>
    <message>
        <source>Stopped before the end: this is what was measured until then.</source>
        <translation>أُوقف القياس قبل نهايته: هذا ما قيس حتى ذلك الحين.</translation>
    </message>
    <message>
        <source>{count} frames were skipped: this machine was too slow for the source.</source>
        <translation>عدد الإطارات التي تم تخطيها {count}: كان هذا الحاسوب أبطأ من المصدر.</translation>
    </message>
    <message>
        <source>A report cannot be written as {ending}</source>
        <translation>لا يمكن كتابة التقرير بالصيغة ‎{ending}</translation>
    </message>
    <message>
        <source>A report cannot be written as a file without an ending</source>
        <translation>لا يمكن كتابة التقرير في ملف بلا امتداد</translation>
    </message>
    <message>
        <source>An export cannot be written as {ending}</source>
        <translation>لا يمكن كتابة التصدير بالصيغة ‎{ending}</translation>
    </message>
    <message>
        <source>An export cannot be written as a file without an ending</source>
        <translation>لا يمكن كتابة التصدير في ملف بلا امتداد</translation>
    </message>
    <message>
        <source>The export {name} could not be written: {why}</source>
        <translation>تعذرت كتابة ملف التصدير {name}، السبب: {why}</translation>
    </message>
    <message>
        <source>Give the name of a file for the export.</source>
        <translation>اكتب اسم ملف للتصدير.</translation>
    </message>
    <message>
        <source>Give a file name that ends in {endings}.</source>
        <translation>اكتب اسم ملف ينتهي بالامتداد ‎{endings}‎.</translation>
    </message>
    <message>
        <source>{one} or {other}</source>
        <translation>‎{one} أو ‎{other}</translation>
    </message>
    <message>
        <source>the folder {folder} may not be written to</source>
        <translation>لا يُسمح بالكتابة في المجلد ‎{folder}‎</translation>
    </message>
    <message>
        <source>its folder {folder} does not exist</source>
        <translation>مجلده ‎{folder}‎ غير موجود</translation>
    </message>
    <message>
        <source>{name} is a folder</source>
        <translation>الاسم {name} هو اسم مجلد</translation>
    </message>
    <message>
        <source>Give the name of a file for the report.</source>
        <translation>اكتب اسم ملف للتقرير.</translation>
    </message>
    <message>
        <source>The report {name} could not be written: {why}</source>
        <translation>تعذرت كتابة التقرير {name}، السبب: {why}</translation>
    </message>
    <message>
        <source>Give one of --once, --watch, --status, --retry [ID] and --export FOLDER; --json goes with --once and --status.</source>
        <translation>حدد واحدًا من الخيارات ‎--once و‎--watch و‎--status و‎--retry [ID]‎ و‎--export FOLDER؛ ويُستخدم ‎--json مع ‎--once و‎--status.</translation>
    </message>
    <message>
        <source>What waits is sent the next time.</source>
        <translation>ما هو قيد الانتظار يُرسل في المرة القادمة.</translation>
    </message>
    <message>
        <source>Another program of Health Helper on this computer is sending</source>
        <translation>برنامج آخر من Health Helper على هذا الحاسوب يقوم بالإرسال</translation>
    </message>
    <message>
        <source>Nothing has to be done; or close its window and try again.</source>
        <translation>لا يلزم فعل شيء؛ أو أغلق نافذته وأعد المحاولة.</translation>
    </message>
    <message>
        <source>This device is not enrolled with a clinic</source>
        <translation>هذا الجهاز غير مسجل لدى أي عيادة</translation>
    </message>
    <message>
        <source>Nothing with this ID was refused</source>
        <translation>لم يُرفض شيء بهذا المعرّف</translation>
    </message>
    <message>
        <source>See &apos;health-helper sync --status&apos; for what was.</source>
        <translation>لرؤية ما رُفض شغّل ‎&apos;health-helper sync --status&apos;‎.</translation>
    </message>
    <message>
        <source>{name} is there already</source>
        <translation>الملف {name} موجود بالفعل</translation>
    </message>
    <message>
        <source>Give another name.</source>
        <translation>اكتب اسمًا آخر.</translation>
    </message>
    <message>
        <source>The folder {name} can&apos;t be made ({kind})</source>
        <translation>لا يمكن إنشاء المجلد {name} ({kind})</translation>
    </message>
    <message>
        <source>Choose another place, or make room on its disk.</source>
        <translation>اختر مكانًا آخر، أو أفرغ بعض المساحة على قرصه.</translation>
    </message>
    <message>
        <source>Give another name, or --force to replace it.</source>
        <translation>اكتب اسمًا آخر، أو استخدم ‎--force‎ لاستبداله.</translation>
    </message>
    <message>
        <source>the disk is full</source>
        <translation>القرص ممتلئ</translation>
    </message>
    <message>
        <source>Free some space, or choose another disk.</source>
        <translation>أفرغ بعض المساحة، أو اختر قرصًا آخر.</translation>
    </message>
    <message>
        <source>Make the folder, or choose another one.</source>
        <translation>أنشئ المجلد، أو اختر مجلدًا آخر.</translation>
    </message>
    <message>
        <source>Choose a folder of your own.</source>
        <translation>اختر مجلدًا خاصًا بك.</translation>
    </message>
    <message>
        <source>Health Helper: result of a scan</source>
        <translation>نتيجة قياس من Health Helper</translation>
    </message>
    <message>
        <source>Result of a scan, {when}</source>
        <translation>نتيجة قياس، {when}</translation>
    </message>
    <message>
        <source>Vital signs</source>
        <translation>العلامات الحيوية</translation>
    </message>
    <message>
        <source>{why}. {remedy}</source>
        <translation>{why}. {remedy}</translation>
    </message>
    <message>
        <source>95 % interval {interval}, confidence {percent} %</source>
        <translation>مجال 95 %: {interval}، درجة الثقة {percent} %</translation>
    </message>
    <message>
        <source>95 % interval {interval}, confidence {percent} %. Remark: {why}.</source>
        <translation>مجال 95 %: {interval}، درجة الثقة {percent} %. ملاحظة: {why}.</translation>
    </message>
    <message>
        <source>95 % interval {interval}, confidence {percent} %; less sure because {why}</source>
        <translation>مجال 95 %: {interval}، درجة الثقة {percent} %؛ سبب انخفاض الثقة: {why}</translation>
    </message>
    <message>
        <source>Pulse wave ({seconds} s of it at most; no unit)</source>
        <translation>موجة النبض ({seconds} ث منها على الأكثر؛ بلا وحدة)</translation>
    </message>
    <message>
        <source>None was found.</source>
        <translation>لم يُعثر عليها.</translation>
    </message>
    <message>
        <source>The pulse wave from second {first} to second {last} of the scan.</source>
        <translation>موجة النبض من الثانية {first} إلى الثانية {last} من القياس.</translation>
    </message>
    <message>
        <source>Heart rate in the course of the scan (/min; pale: 95 % interval; gaps: withheld)</source>
        <translation>معدل نبض القلب خلال القياس (في الدقيقة؛ اللون الفاتح: مجال 95 %؛ الفجوات: قيم محجوبة)</translation>
    </message>
    <message>
        <source>No heart rate was shown at any moment.</source>
        <translation>لم يُعرض معدل نبض القلب في أي لحظة.</translation>
    </message>
    <message>
        <source>The heart rate from second {first} to second {last} of the scan: between {low} and {high} per minute.</source>
        <translation>معدل نبض القلب من الثانية {first} إلى الثانية {last} من القياس: بين {low} و{high} في الدقيقة.</translation>
    </message>
    <message>
        <source>The heart rates of {count} scans from {first} to {last}: between {low} and {high} per minute.</source>
        <translation>معدلات نبض القلب من ‎{first} إلى ‎{last}، عدد القياسات {count}: بين {low} و{high} في الدقيقة.</translation>
    </message>
    <message>
        <source>Heart rate over time (/min; pale: 95 % interval; upright lines: weeks)</source>
        <translation>معدل نبض القلب على مر الزمن (في الدقيقة؛ اللون الفاتح: مجال 95 %؛ الخطوط الرأسية: الأسابيع)</translation>
    </message>
    <message>
        <source>{seconds} s</source>
        <translation>{seconds} ث</translation>
    </message>
    <message>
        <source>How it was measured</source>
        <translation>كيف جرى القياس</translation>
    </message>
    <message>
        <source>Method: remote photoplethysmography (a camera sees the pulse in the colour of the skin)</source>
        <translation>الطريقة: قياس حجم النبض الضوئي عن بُعد (ترى الكاميرا النبض في لون البشرة)</translation>
    </message>
    <message>
        <source>Source: {source}</source>
        <translation>المصدر: {source}</translation>
    </message>
    <message>
        <source>{counted} of {whole} s counted, {frames} frames, {rate} frames per second, quality {percent} %</source>
        <translation>احتُسب {counted} من {whole} ث، عدد الإطارات {frames}، الإطارات في الثانية {rate}، الجودة {percent} %</translation>
    </message>
    <message>
        <source>Version {version}; heart rate by {algorithm}</source>
        <translation>الإصدار {version}؛ خوارزمية معدل نبض القلب: {algorithm}</translation>
    </message>
    <message>
        <source>The other values by {algorithms}</source>
        <translation>خوارزميات القيم الأخرى: {algorithms}</translation>
    </message>
    <message>
        <source>What limited it most: {why}.</source>
        <translation>أكثر ما حدّ من الجودة: {why}.</translation>
    </message>
    <message>
        <source>Also seen: {reasons}.</source>
        <translation>لوحظ أيضًا: {reasons}.</translation>
    </message>
    <message>
        <source>Report {id}</source>
        <translation>التقرير ‎{id}‎</translation>
    </message>
    <message>
        <source>SHA-256 of the scan: {sha256}</source>
        <translation>قيمة SHA-256 للقياس: ‎{sha256}‎</translation>
    </message>
    <message>
        <source>The code says both: with them whoever has the scan can see that its numbers are those of this page. They do not show who was measured.</source>
        <translation>يتضمن الرمز كليهما: بهما يستطيع من لديه القياس أن يتحقق من أن أرقامه هي أرقام هذه الصفحة. ولا يبيّنان من الذي قيس.</translation>
    </message>
    <message>
        <source>QR code: {text}</source>
        <translation>رمز QR: ‎{text}‎</translation>
    </message>
    <message>
        <source>What it is not</source>
        <translation>ما لا يقوم هذا القياس مقامه</translation>
    </message>
    <message>
        <source>All values are estimates from the colour and movement of the picture, with their 95 % interval; a value that cannot be trusted is not shown.</source>
        <translation>كل القيم تقديرات من لون الصورة وحركتها، مع مجال 95 % لكل منها؛ والقيمة التي لا يمكن الوثوق بها لا تُعرض.</translation>
    </message>
    <message>
        <source>In an emergency call for help, whatever this says.</source>
        <translation>في حالة الطوارئ اطلب المساعدة، مهما كان المذكور هنا.</translation>
    </message>
    <message>
        <source>Not a medical device. It does not diagnose, and it does not replace a doctor or a measuring instrument.</source>
        <translation>ليس جهازًا طبيًا. لا يقدم تشخيصًا، ولا يحل محل طبيب أو أداة قياس.</translation>
    </message>
    <message>
        <source>SIMULATED - no person was measured</source>
        <translation>محاكاة - لم يُقَس أي شخص</translation>
    </message>
    <message>
        <source>no face was seen</source>
        <translation>لم يظهر أي وجه</translation>
    </message>
    <message>
        <source>Let the camera see your whole face, with a light in front of you.</source>
        <translation>اجعل وجهك كله ظاهرًا للكاميرا، مع ضوء أمامك.</translation>
    </message>
    <message>
        <source>the face left the picture</source>
        <translation>خرج الوجه من الصورة</translation>
    </message>
    <message>
        <source>Come back into the picture and stay there.</source>
        <translation>عد إلى داخل الصورة وابق فيها.</translation>
    </message>
    <message>
        <source>there was more than one face</source>
        <translation>ظهر أكثر من وجه واحد</translation>
    </message>
    <message>
        <source>Only one person may be in the picture.</source>
        <translation>يجب أن يكون في الصورة شخص واحد فقط.</translation>
    </message>
    <message>
        <source>the face was too small in the picture</source>
        <translation>كان الوجه صغيرًا جدًا في الصورة</translation>
    </message>
    <message>
        <source>Come closer to the camera.</source>
        <translation>اقترب من الكاميرا.</translation>
    </message>
    <message>
        <source>the face was too near</source>
        <translation>كان الوجه قريبًا جدًا</translation>
    </message>
    <message>
        <source>Move back a little.</source>
        <translation>ابتعد قليلًا.</translation>
    </message>
    <message>
        <source>the face was at the edge of the picture</source>
        <translation>كان الوجه عند حافة الصورة</translation>
    </message>
    <message>
        <source>Move to the middle of the picture.</source>
        <translation>تحرك إلى وسط الصورة.</translation>
    </message>
    <message>
        <source>it was too dark</source>
        <translation>كان المكان مظلمًا جدًا</translation>
    </message>
    <message>
        <source>Switch on a light in front of you, or turn towards a window.</source>
        <translation>أشعل ضوءًا أمامك، أو استدر نحو نافذة.</translation>
    </message>
    <message>
        <source>the face was too bright</source>
        <translation>كان الوجه ساطعًا جدًا</translation>
    </message>
    <message>
        <source>Move away from the direct light, or dim it.</source>
        <translation>ابتعد عن الضوء المباشر، أو خففه.</translation>
    </message>
    <message>
        <source>the light came from behind</source>
        <translation>جاء الضوء من الخلف</translation>
    </message>
    <message>
        <source>Turn round, so that the window or lamp is in front of you.</source>
        <translation>استدر بحيث تكون النافذة أو المصباح أمامك.</translation>
    </message>
    <message>
        <source>one side of the face was much darker</source>
        <translation>كان أحد جانبي الوجه أغمق بكثير</translation>
    </message>
    <message>
        <source>Turn to the light, so that both sides of the face get it.</source>
        <translation>استدر نحو الضوء بحيث يصل إلى جانبي الوجه.</translation>
    </message>
    <message>
        <source>the skin or the glasses shone</source>
        <translation>كان على البشرة أو النظارة لمعان</translation>
    </message>
    <message>
        <source>Dim or move the lamp that shines on the face, or dab the skin.</source>
        <translation>خفف المصباح المسلط على الوجه أو أبعده، أو جفف البشرة بلطف.</translation>
    </message>
    <message>
        <source>something covered a part of the face</source>
        <translation>غطى شيء ما جزءًا من الوجه</translation>
    </message>
    <message>
        <source>Take hand, mask or hair away from the face.</source>
        <translation>أبعد اليد أو الكمامة أو الشعر عن الوجه.</translation>
    </message>
    <message>
        <source>the head was tilted</source>
        <translation>كان الرأس مائلًا</translation>
    </message>
    <message>
        <source>Hold your head upright, or turn the camera upright.</source>
        <translation>أبق رأسك مستقيمًا، أو اضبط الكاميرا لتكون مستقيمة.</translation>
    </message>
    <message>
        <source>there was too much movement</source>
        <translation>كانت الحركة كثيرة جدًا</translation>
    </message>
    <message>
        <source>Hold your head still.</source>
        <translation>أبق رأسك ثابتًا.</translation>
    </message>
    <message>
        <source>the mouth moved</source>
        <translation>تحرك الفم</translation>
    </message>
    <message>
        <source>Do not speak or chew for a moment.</source>
        <translation>لا تتكلم ولا تمضغ للحظات.</translation>
    </message>
    <message>
        <source>the light kept changing</source>
        <translation>كان الضوء يتغير باستمرار</translation>
    </message>
    <message>
        <source>Turn off screens or lamps that change; use one steady light.</source>
        <translation>أطفئ الشاشات أو المصابيح المتغيرة؛ استخدم ضوءًا واحدًا ثابتًا.</translation>
    </message>
    <message>
        <source>the camera kept changing its exposure</source>
        <translation>كانت الكاميرا تغير تعريضها باستمرار</translation>
    </message>
    <message>
        <source>Keep the light steady; switch the camera&apos;s automatic off.</source>
        <translation>حافظ على ضوء ثابت؛ أوقف الضبط التلقائي للكاميرا.</translation>
    </message>
    <message>
        <source>the lamp flickers</source>
        <translation>المصباح يومض</translation>
    </message>
    <message>
        <source>Use daylight or another lamp.</source>
        <translation>استخدم ضوء النهار أو مصباحًا آخر.</translation>
    </message>
    <message>
        <source>there was too little usable signal</source>
        <translation>كانت الإشارة الصالحة قليلة جدًا</translation>
    </message>
    <message>
        <source>Measure for longer, at least half a minute.</source>
        <translation>أطل مدة القياس، نصف دقيقة على الأقل.</translation>
    </message>
    <message>
        <source>too few pictures came</source>
        <translation>وصل عدد قليل جدًا من الصور</translation>
    </message>
    <message>
        <source>Close other programs, or use a camera with more frames per second.</source>
        <translation>أغلق البرامج الأخرى، أو استخدم كاميرا بعدد أكبر من الإطارات في الثانية.</translation>
    </message>
    <message>
        <source>the camera gave too few pictures per second</source>
        <translation>أعطت الكاميرا عددًا قليلًا جدًا من الصور في الثانية</translation>
    </message>
    <message>
        <source>Use more light (cameras slow down in the dark) or another camera.</source>
        <translation>استخدم ضوءًا أكثر (الكاميرات تبطئ في الظلام) أو كاميرا أخرى.</translation>
    </message>
    <message>
        <source>the true frame rate of the recording is not known</source>
        <translation>معدل الإطارات الحقيقي للتسجيل غير معروف</translation>
    </message>
    <message>
        <source>Use a recording with true timestamps, or measure live.</source>
        <translation>استخدم تسجيلًا بطوابع زمنية حقيقية، أو قس مباشرة.</translation>
    </message>
    <message>
        <source>the pictures stopped coming</source>
        <translation>توقف وصول الصور</translation>
    </message>
    <message>
        <source>Check the cable or the network, then start again.</source>
        <translation>تحقق من الكابل أو الشبكة، ثم ابدأ من جديد.</translation>
    </message>
    <message>
        <source>no pulse was seen in the skin</source>
        <translation>لم يظهر نبض في البشرة</translation>
    </message>
    <message>
        <source>Use more and steadier light on the face, and hold still.</source>
        <translation>استخدم ضوءًا أكثر وأثبت على الوجه، وابق ثابتًا.</translation>
    </message>
    <message>
        <source>the pulse was too weak to be sure</source>
        <translation>كان النبض أضعف من أن يُحدد بثقة</translation>
    </message>
    <message>
        <source>Use more light on the face, and hold still.</source>
        <translation>استخدم ضوءًا أكثر على الوجه، وابق ثابتًا.</translation>
    </message>
    <message>
        <source>the signal does not come from living skin</source>
        <translation>الإشارة ليست من بشرة حية</translation>
    </message>
    <message>
        <source>Measure a person, not a picture; nothing may cover the face.</source>
        <translation>قس شخصًا لا صورة؛ يجب ألا يغطي الوجه شيء.</translation>
    </message>
    <message>
        <source>two ways of measuring disagreed</source>
        <translation>لم تتفق طريقتان للقياس</translation>
    </message>
    <message>
        <source>Hold still, breathe calmly and measure again.</source>
        <translation>ابق ثابتًا وتنفس بهدوء ثم أعد القياس.</translation>
    </message>
    <message>
        <source>the number found cannot be right</source>
        <translation>لا يمكن أن يكون الرقم الناتج صحيحًا</translation>
    </message>
    <message>
        <source>Measure again; hold still in steady light.</source>
        <translation>أعد القياس؛ ابق ثابتًا في ضوء ثابت.</translation>
    </message>
    <message>
        <source>too few heartbeats were seen</source>
        <translation>ظهر عدد قليل جدًا من نبضات القلب</translation>
    </message>
    <message>
        <source>the single heartbeats were not sharp enough</source>
        <translation>لم تكن نبضات القلب المفردة واضحة بما يكفي</translation>
    </message>
    <message>
        <source>Use more light on the face and hold quite still.</source>
        <translation>استخدم ضوءًا أكثر على الوجه وابق ثابتًا تمامًا.</translation>
    </message>
    <message>
        <source>no breathing was seen</source>
        <translation>لم يظهر تنفس</translation>
    </message>
    <message>
        <source>Let the chest be in the picture, and breathe calmly.</source>
        <translation>اجعل الصدر ظاهرًا في الصورة، وتنفس بهدوء.</translation>
    </message>
    <message>
        <source>Heart rate</source>
        <translation>معدل نبض القلب</translation>
    </message>
    <message>
        <source>Breathing rate</source>
        <translation>معدل التنفس</translation>
    </message>
    <message>
        <source>Variability RMSSD</source>
        <translation>تغير النبض RMSSD</translation>
    </message>
    <message>
        <source>Variability SDNN</source>
        <translation>تغير النبض SDNN</translation>
    </message>
    <message>
        <source>/min</source>
        <translation>في الدقيقة</translation>
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
        <translation>{low} إلى {high}</translation>
    </message>
    <message>
        <source>Measure for longer: {needed} s of good signal or more.</source>
        <translation>أطل مدة القياس: {needed} ث من الإشارة الجيدة أو أكثر.</translation>
    </message>
    <message>
        <source>not shown: it needs {needed} s of good signal, there were {found}</source>
        <translation>لم يُعرض: يتطلب {needed} ث من الإشارة الجيدة، والمتوفر {found} ث</translation>
    </message>
    <message>
        <source>not shown: {why}</source>
        <translation>لم يُعرض: {why}</translation>
    </message>
    <message>
        <source>Ended early, because going on would not have helped: {why}. {remedy} Then start again.</source>
        <translation>انتهى القياس مبكرًا لأن الاستمرار لم يكن ليفيد: {why}. {remedy} ثم ابدأ من جديد.</translation>
    </message>
    <message>
        <source>Saved on this device.</source>
        <translation>حُفظ على هذا الجهاز.</translation>
    </message>
    <message>
        <source>Not saved: {why}.</source>
        <translation>لم يُحفظ: {why}.</translation>
    </message>
    <message>
        <source>you asked for that</source>
        <translation>بناءً على طلبك</translation>
    </message>
    <message>
        <source>nobody was measured</source>
        <translation>لم يُقَس أي شخص</translation>
    </message>
    <message>
        <source>there is no heart rate to keep</source>
        <translation>لا يوجد معدل نبض قلب لحفظه</translation>
    </message>
    <message>
        <source>this system has no key store</source>
        <translation>لا يوجد في هذا النظام مخزن مفاتيح</translation>
    </message>
    <message>
        <source>the key store of this system is locked</source>
        <translation>مخزن المفاتيح في هذا النظام مقفل</translation>
    </message>
    <message>
        <source>the key store of this system fails</source>
        <translation>مخزن المفاتيح في هذا النظام لا يعمل</translation>
    </message>
    <message>
        <source>the key of the store is not on this system</source>
        <translation>مفتاح مخزن البيانات ليس على هذا النظام</translation>
    </message>
    <message>
        <source>the store was locked with another key</source>
        <translation>مخزن البيانات مقفل بمفتاح آخر</translation>
    </message>
    <message>
        <source>the store is damaged</source>
        <translation>مخزن البيانات تالف</translation>
    </message>
    <message>
        <source>a newer version has written the store</source>
        <translation>كتب مخزن البيانات إصدار أحدث</translation>
    </message>
    <message>
        <source>the store may not be written to</source>
        <translation>لا يُسمح بالكتابة في مخزن البيانات</translation>
    </message>
    <message>
        <source>another program is using the store</source>
        <translation>برنامج آخر يستخدم مخزن البيانات</translation>
    </message>
    <message>
        <source>the store was mended or renewed meanwhile</source>
        <translation>أُصلح مخزن البيانات أو جُدد في هذه الأثناء</translation>
    </message>
    <message>
        <source>the store was closed meanwhile</source>
        <translation>أُغلق المخزن في أثناء ذلك</translation>
    </message>
    <message>
        <source>the file on the disk is damaged</source>
        <translation>الملف الموجود على القرص تالف</translation>
    </message>
    <message>
        <source>the database of the store is missing</source>
        <translation>قاعدة بيانات المخزن مفقودة</translation>
    </message>
    <message>
        <source>a library of the store is not installed</source>
        <translation>إحدى مكتبات مخزن البيانات غير مثبتة</translation>
    </message>
    <message>
        <source>the store could not be read or written</source>
        <translation>تعذرت القراءة من مخزن البيانات أو الكتابة فيه</translation>
    </message>
    <message>
        <source>Cancel</source>
        <translation>إلغاء</translation>
    </message>
    <message>
        <source>Add a person</source>
        <translation>إضافة شخص</translation>
    </message>
    <message>
        <source>Rename a person</source>
        <translation>تغيير اسم شخص</translation>
    </message>
    <message>
        <source>Another name for {name}; what is kept of them stays theirs:</source>
        <translation>اسم آخر بدلًا من {name}؛ ويبقى كل ما هو محفوظ لهذا الشخص باسمه:</translation>
    </message>
    <message>
        <source>Name of the person whose results are to be kept:</source>
        <translation>اسم الشخص الذي ستُحفظ نتائجه:</translation>
    </message>
    <message>
        <source>Name</source>
        <translation>الاسم</translation>
    </message>
    <message>
        <source>Record number, typed or scanned (may be left out):</source>
        <translation>رقم الملف الطبي، مكتوبًا أو ممسوحًا ضوئيًا (اختياري):</translation>
    </message>
    <message>
        <source>Add</source>
        <translation>إضافة</translation>
    </message>
    <message>
        <source>Rename</source>
        <translation>تغيير الاسم</translation>
    </message>
    <message>
        <source>Type a name.</source>
        <translation>اكتب اسمًا.</translation>
    </message>
    <message>
        <source>Record number</source>
        <translation>رقم الملف الطبي</translation>
    </message>
    <message>
        <source>Type or scan a person&apos;s record number, to choose them.</source>
        <translation>اكتب رقم الملف الطبي للشخص أو امسحه ضوئيًا لاختياره.</translation>
    </message>
    <message>
        <source>Before this is saved for {name}: type or scan their record number.</source>
        <translation>قبل الحفظ باسم {name}: اكتب رقم الملف الطبي لهذا الشخص أو امسحه ضوئيًا.</translation>
    </message>
    <message>
        <source>Choose that person</source>
        <translation>اختيار ذلك الشخص</translation>
    </message>
    <message>
        <source>Choose</source>
        <translation>اختيار</translation>
    </message>
    <message>
        <source>Go on</source>
        <translation>متابعة</translation>
    </message>
    <message>
        <source>Nobody on this device has this number. Try it again.</source>
        <translation>لا أحد على هذا الجهاز له هذا الرقم. أعد المحاولة.</translation>
    </message>
    <message>
        <source>This number belongs to somebody else on this device. Nothing was saved. Try it again, or choose that person and save then.</source>
        <translation>هذا الرقم لشخص آخر على هذا الجهاز. لم يُحفظ شيء. أعد المحاولة، أو اختر ذلك الشخص ثم احفظ.</translation>
    </message>
    <message>
        <source>Send to the clinic?</source>
        <translation>هل تريد الإرسال إلى العيادة؟</translation>
    </message>
    <message>
        <source>Keep here only</source>
        <translation>الحفظ هنا فقط</translation>
    </message>
    <message>
        <source>Send too</source>
        <translation>الإرسال أيضًا</translation>
    </message>
    <message>
        <source>Delete {name} and all that is kept of them? It can be put back for {days} days.</source>
        <translation>هل تريد حذف {name} وكل ما هو محفوظ لهذا الشخص؟ يمكن استعادته خلال {days} يومًا.</translation>
    </message>
    <message>
        <source>What was sent of them is erased in the clinic&apos;s cloud too, once it can&apos;t be put back any more.</source>
        <translation>وما أُرسل من بيانات هذا الشخص يُمحى أيضًا من سحابة العيادة، بعد أن تنتهي مهلة الاستعادة.</translation>
    </message>
    <message>
        <source>Delete for ever now…</source>
        <translation>الحذف النهائي الآن…</translation>
    </message>
    <message>
        <source>The result of the last scan is not saved yet. Save it for {name}, or discard it?</source>
        <translation>لم تُحفظ نتيجة القياس الأخير بعد. هل تريد حفظها باسم {name} أم تجاهلها؟</translation>
    </message>
    <message>
        <source>Add a reading</source>
        <translation>إضافة قراءة</translation>
    </message>
    <message>
        <source>For {name}. It is marked as typed in.</source>
        <translation>باسم {name}. تُميَّز بأنها مُدخلة يدويًا.</translation>
    </message>
    <message>
        <source>Deleted in the last {days} days</source>
        <translation>المحذوف خلال آخر {days} يومًا</translation>
    </message>
    <message>
        <source>Choose what is to be put back. A person comes back with all that was deleted with them.</source>
        <translation>اختر ما تريد استعادته. يعود الشخص مع كل ما حُذف معه.</translation>
    </message>
    <message>
        <source>Nothing was deleted in the last {days} days.</source>
        <translation>لم يُحذف شيء خلال آخر {days} يومًا.</translation>
    </message>
    <message>
        <source>Deleted</source>
        <translation>وقت الحذف</translation>
    </message>
    <message>
        <source>Whose</source>
        <translation>لمن</translation>
    </message>
    <message>
        <source>Put back</source>
        <translation>استعادة</translation>
    </message>
    <message>
        <source>Guest</source>
        <translation>ضيف</translation>
    </message>
    <message>
        <source>This person, with all that was kept of them</source>
        <translation>هذا الشخص، مع كل ما كان محفوظًا له</translation>
    </message>
    <message>
        <source>Device</source>
        <translation>الجهاز</translation>
    </message>
    <message>
        <source>When it was read</source>
        <translation>وقت القراءة</translation>
    </message>
    <message>
        <source>Save</source>
        <translation>حفظ</translation>
    </message>
    <message>
        <source> (may be left out)</source>
        <translation> (اختياري)</translation>
    </message>
    <message>
        <source>Recovery key</source>
        <translation>مفتاح الاسترداد</translation>
    </message>
    <message>
        <source>Write this down or print it, and keep it away from this computer. It opens what is kept here when this computer&apos;s key store is lost, and on another computer. It is shown only now.</source>
        <translation>اكتبه أو اطبعه، واحتفظ به بعيدًا عن هذا الحاسوب. فهو يفتح ما هو محفوظ هنا إذا فُقد مخزن المفاتيح في هذا الحاسوب، ويفتحه على حاسوب آخر. لا يُعرض إلا الآن.</translation>
    </message>
    <message>
        <source>Recovery key: {key}</source>
        <translation>مفتاح الاسترداد: ‎{key}</translation>
    </message>
    <message>
        <source>Print…</source>
        <translation>طباعة…</translation>
    </message>
    <message>
        <source>I have written it down</source>
        <translation>كتبته</translation>
    </message>
    <message>
        <source>Open with the recovery key</source>
        <translation>الفتح بمفتاح الاسترداد</translation>
    </message>
    <message>
        <source>Type the recovery key from the paper:</source>
        <translation>اكتب مفتاح الاسترداد من الورقة:</translation>
    </message>
    <message>
        <source>Open</source>
        <translation>فتح</translation>
    </message>
    <message>
        <source>Type the key.</source>
        <translation>اكتب المفتاح.</translation>
    </message>
    <message>
        <source>History</source>
        <translation>السجل</translation>
    </message>
    <message>
        <source>What the plot shows</source>
        <translation>ما يعرضه الرسم البياني</translation>
    </message>
    <message>
        <source>How far back</source>
        <translation>المدة السابقة</translation>
    </message>
    <message>
        <source>Course over days</source>
        <translation>التغير عبر الأيام</translation>
    </message>
    <message>
        <source>What is kept, the newest first</source>
        <translation>المحفوظات، الأحدث أولًا</translation>
    </message>
    <message>
        <source>When</source>
        <translation>الوقت</translation>
    </message>
    <message>
        <source>Deleted items…</source>
        <translation>العناصر المحذوفة…</translation>
    </message>
    <message>
        <source>{count} values from {first} to {last}: between {low} and {high}.</source>
        <translation>عدد القيم من ‎{first} إلى ‎{last}: {count}، وهي بين {low} و{high}.</translation>
    </message>
    <message>
        <source>Blood pressure</source>
        <translation>ضغط الدم</translation>
    </message>
    <message>
        <source>Sending to the clinic&apos;s cloud</source>
        <translation>الإرسال إلى سحابة العيادة</translation>
    </message>
    <message>
        <source>Heart rate by camera (/min; pale: 95 % interval; upright lines: weeks)</source>
        <translation>معدل نبض القلب بالكاميرا (في الدقيقة؛ اللون الفاتح: مجال 95 %؛ الخطوط الرأسية: الأسابيع)</translation>
    </message>
    <message>
        <source>Breathing rate by camera (/min; pale: 95 % interval)</source>
        <translation>معدل التنفس بالكاميرا (في الدقيقة؛ اللون الفاتح: مجال 95 %)</translation>
    </message>
    <message>
        <source>Blood pressure, upper value (mmHg, typed in)</source>
        <translation>ضغط الدم، القيمة العليا (ملم زئبق، مُدخلة يدويًا)</translation>
    </message>
    <message>
        <source>Blood pressure, lower value (mmHg, typed in)</source>
        <translation>ضغط الدم، القيمة السفلى (ملم زئبق، مُدخلة يدويًا)</translation>
    </message>
    <message>
        <source>Oxygen saturation (%, typed in)</source>
        <translation>تشبع الأكسجين (%، مُدخل يدويًا)</translation>
    </message>
    <message>
        <source>Temperature (°C, typed in)</source>
        <translation>درجة الحرارة (°م، مُدخلة يدويًا)</translation>
    </message>
    <message>
        <source>Weight (kg, typed in)</source>
        <translation>الوزن (كغ، مُدخل يدويًا)</translation>
    </message>
    <message>
        <source>Health Helper: all that is kept</source>
        <translation>كل المحفوظات في Health Helper</translation>
    </message>
    <message>
        <source>Page {number} of {count}</source>
        <translation>الصفحة {number} من {count}</translation>
    </message>
    <message>
        <source>Record number {number}</source>
        <translation>رقم الملف الطبي: ‎{number}‎</translation>
    </message>
    <message>
        <source>All that is kept on this device, {when}</source>
        <translation>كل المحفوظات على هذا الجهاز، ‎{when}‎</translation>
    </message>
    <message>
        <source>Version {version}</source>
        <translation>الإصدار ‎{version}‎</translation>
    </message>
    <message>
        <source>All values by camera are estimates from the colour and movement of the picture, with their 95 % interval; a value that could not be trusted is not shown. Times are those of the place where it was measured.</source>
        <translation>كل القيم المقيسة بالكاميرا تقديرات من لون الصورة وحركتها، مع مجال 95 % لكل منها؛ والقيمة التي تعذر الوثوق بها لا تُعرض. الأوقات بتوقيت المكان الذي جرى فيه القياس.</translation>
    </message>
    <message>
        <source>Quality</source>
        <translation>الجودة</translation>
    </message>
    <message>
        <source>not shown</source>
        <translation>لم يُعرض</translation>
    </message>
    <message>
        <source>simulated</source>
        <translation>محاكاة</translation>
    </message>
    <message>
        <source>Scans by camera</source>
        <translation>القياسات بالكاميرا</translation>
    </message>
    <message>
        <source>What</source>
        <translation>النوع</translation>
    </message>
    <message>
        <source>Values</source>
        <translation>القيم</translation>
    </message>
    <message>
        <source>Readings that were typed in</source>
        <translation>القراءات المُدخلة يدويًا</translation>
    </message>
    <message>
        <source>Title</source>
        <translation>العنوان</translation>
    </message>
    <message>
        <source>Size</source>
        <translation>الحجم</translation>
    </message>
    <message>
        <source>{size} kB</source>
        <translation>{size} ك.ب</translation>
    </message>
    <message>
        <source>Documents</source>
        <translation>المستندات</translation>
    </message>
    <message>
        <source>What for</source>
        <translation>الغرض</translation>
    </message>
    <message>
        <source>Answer</source>
        <translation>الجواب</translation>
    </message>
    <message>
        <source>Version</source>
        <translation>الإصدار</translation>
    </message>
    <message>
        <source>agreed</source>
        <translation>تمت الموافقة</translation>
    </message>
    <message>
        <source>not agreed, or taken back</source>
        <translation>لا موافقة، أو سُحبت</translation>
    </message>
    <message>
        <source>Consents</source>
        <translation>الموافقات</translation>
    </message>
    <message>
        <source>Details</source>
        <translation>التفاصيل</translation>
    </message>
    <message>
        <source>Delete</source>
        <translation>حذف</translation>
    </message>
    <message>
        <source>Show older ones</source>
        <translation>عرض الأقدم</translation>
    </message>
    <message>
        <source>Add a reading…</source>
        <translation>إضافة قراءة…</translation>
    </message>
    <message>
        <source>Export…</source>
        <translation>تصدير…</translation>
    </message>
    <message>
        <source>History of {name}</source>
        <translation>سجل {name}</translation>
    </message>
    <message>
        <source>Result</source>
        <translation>النتيجة</translation>
    </message>
    <message>
        <source>Kept for {name}, {when}.</source>
        <translation>محفوظ باسم {name} بتاريخ ‎{when}‎.</translation>
    </message>
    <message>
        <source>Not saved yet.</source>
        <translation>لم تُحفظ بعد.</translation>
    </message>
    <message>
        <source>Pulse wave (10 s of it)</source>
        <translation>موجة النبض (10 ث منها)</translation>
    </message>
    <message>
        <source>Pulse wave</source>
        <translation>موجة النبض</translation>
    </message>
    <message>
        <source>Heart rate in the course of the scan (gaps: withheld)</source>
        <translation>معدل نبض القلب خلال القياس (الفجوات: قيم محجوبة)</translation>
    </message>
    <message>
        <source>Heart rate in the course of the scan</source>
        <translation>معدل نبض القلب خلال القياس</translation>
    </message>
    <message>
        <source>Save for {name}</source>
        <translation>حفظ باسم {name}</translation>
    </message>
    <message>
        <source>Save as guest</source>
        <translation>حفظ كضيف</translation>
    </message>
    <message>
        <source>Report…</source>
        <translation>تقرير…</translation>
    </message>
    <message>
        <source>Discard</source>
        <translation>تجاهل</translation>
    </message>
    <message>
        <source>Back</source>
        <translation>رجوع</translation>
    </message>
    <message>
        <source>This can&apos;t be saved now: {why}</source>
        <translation>لا يمكن حفظ هذا الآن: {why}</translation>
    </message>
    <message>
        <source>Scan</source>
        <translation>قياس بالكاميرا</translation>
    </message>
    <message>
        <source>For {name}. Choose another person at the top.</source>
        <translation>القياس باسم {name}. اختر شخصًا آخر من الأعلى.</translation>
    </message>
    <message>
        <source>For a guest. To keep results under a name, choose one at the top.</source>
        <translation>القياس لضيف. لحفظ النتائج تحت اسم، اختر اسمًا من الأعلى.</translation>
    </message>
    <message>
        <source>A result that is not saved was hidden, because nobody was there. A new scan replaces it.</source>
        <translation>أُخفيت نتيجة غير محفوظة لعدم وجود أحد. وأي قياس جديد يحل محلها.</translation>
    </message>
    <message>
        <source>Measure your pulse with the camera</source>
        <translation>قس نبضك بالكاميرا</translation>
    </message>
    <message>
        <source>Sit down and rest for a minute. Put a steady light in front of you, not behind.</source>
        <translation>اجلس واسترح دقيقة. ضع ضوءًا ثابتًا أمامك، لا خلفك.</translation>
    </message>
    <message>
        <source>Bring your face into the outline, about an arm&apos;s length away, and take off a mask.</source>
        <translation>ضع وجهك داخل الإطار، على بعد ذراع تقريبًا، واخلع الكمامة.</translation>
    </message>
    <message>
        <source>Hold still, do not talk, and breathe as usual. It takes about a minute.</source>
        <translation>ابق ثابتًا، ولا تتكلم، وتنفس كالمعتاد. يستغرق ذلك نحو دقيقة.</translation>
    </message>
    <message>
        <source>Pictures are measured on this device and thrown away at once. Nothing is recorded.</source>
        <translation>تُقاس الصور على هذا الجهاز وتُحذف فورًا. لا يُسجَّل أي شيء.</translation>
    </message>
    <message>
        <source>Start the scan</source>
        <translation>ابدأ القياس</translation>
    </message>
    <message>
        <source>beats per minute</source>
        <translation>نبضة في الدقيقة</translation>
    </message>
    <message>
        <source>Finish now</source>
        <translation>إنهاء الآن</translation>
    </message>
    <message>
        <source>What to do now: {hint}</source>
        <translation>ما يجب فعله الآن: {hint}</translation>
    </message>
    <message>
        <source>Heart rate now: {rate}</source>
        <translation>معدل نبض القلب الآن: {rate}</translation>
    </message>
    <message>
        <source>Assistant</source>
        <translation>المساعد</translation>
    </message>
    <message>
        <source>Ask</source>
        <translation>اسأل</translation>
    </message>
    <message>
        <source>How you ask</source>
        <translation>طريقة السؤال</translation>
    </message>
    <message>
        <source>Read answers aloud</source>
        <translation>قراءة الإجابات صوتيًا</translation>
    </message>
    <message>
        <source>Call staff</source>
        <translation>استدعاء موظف</translation>
    </message>
    <message>
        <source>Forget this conversation…</source>
        <translation>محو هذه المحادثة…</translation>
    </message>
    <message>
        <source>Try again</source>
        <translation>إعادة المحاولة</translation>
    </message>
    <message>
        <source>Ask again</source>
        <translation>إعادة السؤال</translation>
    </message>
    <message>
        <source>Nothing that you say or ask here is sent to the clinic until you agree to it.</source>
        <translation>لا يُرسل إلى العيادة شيء مما تقوله أو تسأل عنه هنا قبل أن توافق على ذلك.</translation>
    </message>
    <message>
        <source>Decide…</source>
        <translation>قرّر…</translation>
    </message>
    <message>
        <source>Settings</source>
        <translation>الإعدادات</translation>
    </message>
    <message>
        <source>Health Helper {version}</source>
        <translation>إصدار Health Helper {version}</translation>
    </message>
    <message>
        <source>Show its picture</source>
        <translation>عرض صورتها</translation>
    </message>
    <message>
        <source>Language and look</source>
        <translation>اللغة والمظهر</translation>
    </message>
    <message>
        <source>Language</source>
        <translation>اللغة</translation>
    </message>
    <message>
        <source>Colours</source>
        <translation>الألوان</translation>
    </message>
    <message>
        <source>As the system</source>
        <translation>مثل النظام</translation>
    </message>
    <message>
        <source>Light</source>
        <translation>فاتح</translation>
    </message>
    <message>
        <source>Dark</source>
        <translation>داكن</translation>
    </message>
    <message>
        <source>Size of text</source>
        <translation>حجم النص</translation>
    </message>
    <message>
        <source>Camera</source>
        <translation>الكاميرا</translation>
    </message>
    <message>
        <source>The first one</source>
        <translation>الكاميرا الأولى</translation>
    </message>
    <message>
        <source>Good signal that a scan takes</source>
        <translation>مدة الإشارة الجيدة المطلوبة للقياس</translation>
    </message>
    <message>
        <source>No camera was found. Plug one in and open this page again.</source>
        <translation>لم يُعثر على كاميرا. وصّل كاميرا وافتح هذه الصفحة من جديد.</translation>
    </message>
    <message>
        <source>Variability (RMSSD, SDNN) needs 60 s of good signal or more.</source>
        <translation>يتطلب تغير النبض (RMSSD وSDNN) إشارة جيدة مدتها 60 ث أو أكثر.</translation>
    </message>
    <message>
        <source>Reading aloud</source>
        <translation>القراءة بصوت عالٍ</translation>
    </message>
    <message>
        <source>What is kept on this device</source>
        <translation>المحفوظ على هذا الجهاز</translation>
    </message>
    <message>
        <source>Lock when nobody uses it</source>
        <translation>القفل عند عدم الاستخدام</translation>
    </message>
    <message>
        <source>after {minutes} min</source>
        <translation>بعد {minutes} د</translation>
    </message>
    <message>
        <source>never (a kiosk)</source>
        <translation>أبدًا (جهاز للاستخدام العام)</translation>
    </message>
    <message>
        <source>New recovery key…</source>
        <translation>مفتاح استرداد جديد…</translation>
    </message>
    <message>
        <source>Open with the recovery key…</source>
        <translation>الفتح بمفتاح الاسترداد…</translation>
    </message>
    <message>
        <source>Begin a new store…</source>
        <translation>بدء مخزن جديد…</translation>
    </message>
    <message>
        <source>Open the store</source>
        <translation>فتح مخزن البيانات</translation>
    </message>
    <message>
        <source>Lock now</source>
        <translation>القفل الآن</translation>
    </message>
    <message>
        <source>Add a person…</source>
        <translation>إضافة شخص…</translation>
    </message>
    <message>
        <source>Choose a person by their record number…</source>
        <translation>اختيار شخص برقم ملفه الطبي…</translation>
    </message>
    <message>
        <source>Rename the chosen person…</source>
        <translation>تغيير اسم الشخص المختار…</translation>
    </message>
    <message>
        <source>Delete the chosen person…</source>
        <translation>حذف الشخص المختار…</translation>
    </message>
    <message>
        <source>Clinic</source>
        <translation>العيادة</translation>
    </message>
    <message>
        <source>Enrol this device…</source>
        <translation>تسجيل هذا الجهاز…</translation>
    </message>
    <message>
        <source>What is sent…</source>
        <translation>ما الذي يُرسل…</translation>
    </message>
    <message>
        <source>Sharing of the chosen person…</source>
        <translation>مشاركة بيانات الشخص المختار…</translation>
    </message>
    <message>
        <source>Leave the clinic…</source>
        <translation>مغادرة العيادة…</translation>
    </message>
    <message>
        <source>For staff</source>
        <translation>للموظفين</translation>
    </message>
    <message>
        <source>Readings to look at…</source>
        <translation>قراءات للمراجعة…</translation>
    </message>
    <message>
        <source>Encrypted; its key is in this system&apos;s key store. People: {count}. Folder: {folder}</source>
        <translation>مشفر؛ مفتاحه في مخزن المفاتيح في هذا النظام. عدد الأشخاص: {count}. المجلد: ‎{folder}‎</translation>
    </message>
    <message>
        <source>Nobody has a recovery key on paper yet.</source>
        <translation>لا أحد لديه مفتاح استرداد على ورق بعد.</translation>
    </message>
    <message>
        <source>The store is being opened …</source>
        <translation>جارٍ فتح مخزن البيانات …</translation>
    </message>
    <message>
        <source>The store is locked.</source>
        <translation>مخزن البيانات مقفل.</translation>
    </message>
    <message>
        <source>Whether this device is enrolled is known once the store is open.</source>
        <translation>يُعرف ما إذا كان هذا الجهاز مسجلًا بعد فتح مخزن البيانات.</translation>
    </message>
    <message>
        <source>This device is enrolled with the clinic at {server}. What is kept of those who have agreed is sent there.</source>
        <translation>هذا الجهاز مسجل لدى العيادة (‎{server}‎). ويُرسل إليها ما هو محفوظ لمن وافقوا على ذلك.</translation>
    </message>
    <message>
        <source>This device is enrolled with no clinic. Nothing that is kept leaves it.</source>
        <translation>هذا الجهاز غير مسجل لدى أي عيادة. ولا يخرج منه شيء مما هو محفوظ.</translation>
    </message>
    <message>
        <source>Enrol it anew…</source>
        <translation>تسجيله من جديد…</translation>
    </message>
    <message>
        <source>What has to be looked at is known once the store is open.</source>
        <translation>يُعرف ما تجب مراجعته بعد فتح مخزن البيانات.</translation>
    </message>
    <message>
        <source>Readings that somebody should look at: {count}.</source>
        <translation>عدد القراءات التي ينبغي أن يراجعها أحد: {count}.</translation>
    </message>
    <message>
        <source>Nothing has to be looked at.</source>
        <translation>لا يوجد ما تجب مراجعته.</translation>
    </message>
    <message>
        <source>Hide its picture</source>
        <translation>إخفاء صورتها</translation>
    </message>
    <message>
        <source>Welcome</source>
        <translation>مرحبًا</translation>
    </message>
    <message>
        <source>Welcome to Health Helper</source>
        <translation>مرحبًا بك في Health Helper</translation>
    </message>
    <message>
        <source>What it does</source>
        <translation>ما يفعله التطبيق</translation>
    </message>
    <message>
        <source>It measures pulse, pulse-rate variability and breathing with the camera, on this device. Pictures are thrown away at once. Results are kept on this device only if you save them, encrypted.</source>
        <translation>يقيس النبض وتغير معدل النبض والتنفس بالكاميرا، على هذا الجهاز. تُحذف الصور فورًا. لا تُحفظ النتائج على هذا الجهاز إلا إذا حفظتها، وتكون مشفرة.</translation>
    </message>
    <message>
        <source>What it is not for</source>
        <translation>ما ليس التطبيق مخصصًا له</translation>
    </message>
    <message>
        <source>Emergencies: chest pain, trouble breathing, signs of a stroke, thoughts of suicide. Call for help at once.</source>
        <translation>حالات الطوارئ: ألم في الصدر، صعوبة في التنفس، علامات سكتة دماغية، أفكار انتحارية. اطلب المساعدة فورًا.</translation>
    </message>
    <message>
        <source>People under 18.</source>
        <translation>الأشخاص دون سن 18 عامًا.</translation>
    </message>
    <message>
        <source>Decisions in pregnancy, and about medicines or treatment at any time.</source>
        <translation>القرارات أثناء الحمل، والقرارات المتعلقة بالأدوية أو العلاج في أي وقت.</translation>
    </message>
    <message>
        <source>The camera</source>
        <translation>الكاميرا</translation>
    </message>
    <message>
        <source>I am 18 or older.</source>
        <translation>عمري 18 سنة أو أكثر.</translation>
    </message>
    <message>
        <source>I have read what it is not for.</source>
        <translation>قرأت ما ليس التطبيق مخصصًا له.</translation>
    </message>
    <message>
        <source>I agree that the camera is used to measure me during a scan.</source>
        <translation>أوافق على استخدام الكاميرا لأخذ قياساتي أثناء عملية القياس.</translation>
    </message>
    <message>
        <source>Continue</source>
        <translation>متابعة</translation>
    </message>
    <message>
        <source>macOS asks once whether Health Helper may use the camera. To change it later: System Settings, Privacy &amp; Security, Camera.</source>
        <translation>يسأل نظام macOS مرة واحدة عن السماح لتطبيق Health Helper باستخدام الكاميرا. لتغيير ذلك لاحقًا: إعدادات النظام، الخصوصية والأمن، الكاميرا.</translation>
    </message>
    <message>
        <source>Windows lets programs use the camera only if that is switched on: Settings, Privacy &amp; security, Camera, &quot;Let desktop apps access your camera&quot;.</source>
        <translation>لا يسمح نظام Windows للبرامج باستخدام الكاميرا إلا إذا كان ذلك مفعّلًا: الإعدادات، الخصوصية والأمان، الكاميرا، &quot;السماح لتطبيقات سطح المكتب بالوصول إلى الكاميرا&quot;.</translation>
    </message>
    <message>
        <source>Linux does not ask before a program uses the camera: your account needs the permission, and on most systems it has it. If the camera can&apos;t be opened, ask an administrator to add your account to the group &quot;video&quot;.</source>
        <translation>لا يسأل نظام Linux قبل أن يستخدم برنامجٌ الكاميرا: يحتاج حسابك إلى الإذن، وهو متوفر له في معظم الأنظمة. إذا تعذر فتح الكاميرا، فاطلب من مسؤول النظام إضافة حسابك إلى المجموعة &quot;video&quot;.</translation>
    </message>
    <message>
        <source>The store is locked</source>
        <translation>مخزن البيانات مقفل</translation>
    </message>
    <message>
        <source>Unlock it and try again.</source>
        <translation>افتح قفله وأعد المحاولة.</translation>
    </message>
    <message>
        <source>This failed, by a bug of Health Helper&apos;s own</source>
        <translation>تعذر ذلك بسبب خطأ داخلي في Health Helper</translation>
    </message>
    <message>
        <source>Try again; if it comes back, close the window and open it anew.</source>
        <translation>أعد المحاولة؛ وإذا تكرر ذلك، فأغلق النافذة وافتحها من جديد.</translation>
    </message>
    <message>
        <source>The settings could not be written; they hold until the window is closed.</source>
        <translation>تعذرت كتابة الإعدادات؛ تبقى سارية حتى إغلاق النافذة.</translation>
    </message>
    <message>
        <source>Go on, or, if it comes back, close the window and open it anew. Please report what is below; it names nobody.</source>
        <translation>تابع العمل، وإذا تكرر الخطأ فأغلق النافذة وافتحها من جديد. يُرجى الإبلاغ عما هو مذكور أدناه؛ فهو لا يذكر اسم أحد.</translation>
    </message>
    <message>
        <source>There is no display to show a window on</source>
        <translation>لا توجد شاشة لعرض النافذة عليها</translation>
    </message>
    <message>
        <source>Log in to a desktop, or measure in the terminal: health-helper scan.</source>
        <translation>سجّل الدخول إلى سطح مكتب، أو قس في الطرفية: health-helper scan.</translation>
    </message>
    <message>
        <source>Health Helper has met a bug of its own. Nothing that was saved is lost.</source>
        <translation>حدث خطأ داخلي في Health Helper. لم يُفقد شيء مما حُفظ.</translation>
    </message>
    <message>
        <source>Pulse</source>
        <translation>النبض</translation>
    </message>
    <message>
        <source>Blood pressure (cuff)</source>
        <translation>ضغط الدم (جهاز بكُفّة)</translation>
    </message>
    <message>
        <source>Upper (systolic)</source>
        <translation>العلوي (الانقباضي)</translation>
    </message>
    <message>
        <source>Lower (diastolic)</source>
        <translation>السفلي (الانبساطي)</translation>
    </message>
    <message>
        <source>Oximeter</source>
        <translation>مقياس أكسجين الدم</translation>
    </message>
    <message>
        <source>Oxygen saturation</source>
        <translation>تشبع الأكسجين</translation>
    </message>
    <message>
        <source>Thermometer</source>
        <translation>مقياس الحرارة</translation>
    </message>
    <message>
        <source>Temperature</source>
        <translation>درجة الحرارة</translation>
    </message>
    <message>
        <source>Scales</source>
        <translation>الميزان</translation>
    </message>
    <message>
        <source>Weight</source>
        <translation>الوزن</translation>
    </message>
    <message>
        <source>{title}: type a number.</source>
        <translation>{title}: اكتب رقمًا.</translation>
    </message>
    <message>
        <source>{title}: type a number from {least} to {most}.</source>
        <translation>{title}: اكتب رقمًا من {least} إلى {most}.</translation>
    </message>
    <message>
        <source>The lower number must be below the upper one.</source>
        <translation>يجب أن يكون الرقم السفلي أقل من العلوي.</translation>
    </message>
    <message>
        <source>pulse {pulse}</source>
        <translation>النبض {pulse}</translation>
    </message>
    <message>
        <source>Heart rate, /min</source>
        <translation>معدل نبض القلب (في الدقيقة)</translation>
    </message>
    <message>
        <source>Breathing rate, /min</source>
        <translation>معدل التنفس (في الدقيقة)</translation>
    </message>
    <message>
        <source>Variability RMSSD, ms</source>
        <translation>تغير النبض RMSSD (ms)</translation>
    </message>
    <message>
        <source>Variability SDNN, ms</source>
        <translation>تغير النبض SDNN (ms)</translation>
    </message>
    <message>
        <source>7 days</source>
        <translation>7 أيام</translation>
    </message>
    <message>
        <source>30 days</source>
        <translation>30 يومًا</translation>
    </message>
    <message>
        <source>1 year</source>
        <translation>سنة واحدة</translation>
    </message>
    <message>
        <source>All</source>
        <translation>الكل</translation>
    </message>
    <message>
        <source>typed in</source>
        <translation>مُدخل يدويًا</translation>
    </message>
    <message>
        <source>heart rate {rate} /min ({interval})</source>
        <translation>معدل نبض القلب {rate} في الدقيقة ({interval})</translation>
    </message>
    <message>
        <source>breathing {rate} /min</source>
        <translation>التنفس {rate} في الدقيقة</translation>
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
        <translation>{title}: لا يوجد ما يُعرض بعد</translation>
    </message>
    <message>
        <source>{title}: one scan, {value}</source>
        <translation>{title}: قياس واحد، {value}</translation>
    </message>
    <message>
        <source>{title}: {count} scans, from {least} to {most}, the newest {newest}</source>
        <translation>{title}: عدد القياسات {count}، من {least} إلى {most}، وأحدثها {newest}</translation>
    </message>
    <message>
        <source>How often the heart beats. Moving, talking, excitement, warmth, coffee, fever and medicines change it.</source>
        <translation>عدد مرات نبض القلب. تغيره الحركة والكلام والانفعال والدفء والقهوة والحمى والأدوية.</translation>
    </message>
    <message>
        <source>How often you breathe. Talking, moving and attention to it change it.</source>
        <translation>عدد مرات التنفس. يغيره الكلام والحركة والانتباه إليه.</translation>
    </message>
    <message>
        <source>How much the time between two beats changes from beat to beat. It differs widely between people; age, rest, breathing and training change it. Compare it with your own earlier ones only.</source>
        <translation>مقدار تغير الزمن بين نبضتين من نبضة إلى أخرى. يختلف كثيرًا بين الناس؛ ويغيره العمر والراحة والتنفس والتدريب. قارنه بقيمك السابقة فقط.</translation>
    </message>
    <message>
        <source>How much the time between beats varies over the whole scan. It grows with the length of the scan. Compare it with your own earlier ones only.</source>
        <translation>مقدار تفاوت الزمن بين النبضات خلال القياس كله. يزداد مع طول القياس. قارنه بقيمك السابقة فقط.</translation>
    </message>
    <message>
        <source>Your heart rate is {rate} per minute</source>
        <translation>معدل نبض قلبك {rate} في الدقيقة</translation>
    </message>
    <message>
        <source>{counted} s of {all} s counted. Confidence {percent} %.</source>
        <translation>احتُسب {counted} ث من {all} ث. درجة الثقة {percent} %.</translation>
    </message>
    <message>
        <source>No heart rate is shown</source>
        <translation>لم يُعرض معدل نبض القلب</translation>
    </message>
    <message>
        <source>Because {why}. {remedy}</source>
        <translation>السبب: {why}. {remedy}</translation>
    </message>
    <message>
        <source>95 % interval {interval}</source>
        <translation>مجال 95 %: {interval}</translation>
    </message>
    <message>
        <source>{interval}. Remark: {why}.</source>
        <translation>{interval}. ملاحظة: {why}.</translation>
    </message>
    <message>
        <source>{interval}; less sure because {why}</source>
        <translation>{interval}؛ سبب انخفاض الثقة: {why}</translation>
    </message>
    <message>
        <source>To measure for longer: Settings, “{setting}”.</source>
        <translation>لإطالة مدة القياس: الإعدادات، «{setting}».</translation>
    </message>
    <message>
        <source>Good. Hold still and breathe calmly.</source>
        <translation>جيد. ابق ثابتًا وتنفس بهدوء.</translation>
    </message>
    <message>
        <source>Starting</source>
        <translation>جارٍ البدء</translation>
    </message>
    <message>
        <source>Find your place</source>
        <translation>اضبط موضعك</translation>
    </message>
    <message>
        <source>Measuring</source>
        <translation>جارٍ القياس</translation>
    </message>
    <message>
        <source>Paused</source>
        <translation>متوقف مؤقتًا</translation>
    </message>
    <message>
        <source>Waiting for the camera</source>
        <translation>في انتظار الكاميرا</translation>
    </message>
    <message>
        <source>Almost done</source>
        <translation>أوشك على الانتهاء</translation>
    </message>
    <message>
        <source>Done</source>
        <translation>تم</translation>
    </message>
    <message>
        <source>Not finished</source>
        <translation>لم يكتمل</translation>
    </message>
    <message>
        <source>{seconds} s counted</source>
        <translation>احتُسب {seconds} ث</translation>
    </message>
    <message>
        <source>{seconds} s left</source>
        <translation>بقي {seconds} ث</translation>
    </message>
    <message>
        <source>{fps} pictures per second</source>
        <translation>الصور في الثانية: {fps}</translation>
    </message>
    <message>
        <source>Message</source>
        <translation>رسالة</translation>
    </message>
    <message>
        <source>What is sent</source>
        <translation>ما يُرسل</translation>
    </message>
    <message>
        <source>Answer here only</source>
        <translation>الإجابة هنا فقط</translation>
    </message>
    <message>
        <source>Send to the clinic</source>
        <translation>الإرسال إلى العيادة</translation>
    </message>
    <message>
        <source>Source</source>
        <translation>المصدر</translation>
    </message>
    <message>
        <source>There is nothing more to be shown of this source.</source>
        <translation>لا يوجد المزيد مما يمكن عرضه من هذا المصدر.</translation>
    </message>
    <message>
        <source>This article rests on:</source>
        <translation>يستند هذا المقال إلى:</translation>
    </message>
    <message>
        <source>No clinician has reviewed it yet.</source>
        <translation>لم يراجعه أي مختص طبي بعد.</translation>
    </message>
    <message>
        <source>The whole article</source>
        <translation>المقال كاملًا</translation>
    </message>
    <message>
        <source>The passage</source>
        <translation>المقطع</translation>
    </message>
    <message>
        <source>Close</source>
        <translation>إغلاق</translation>
    </message>
    <message>
        <source>Upper left corner</source>
        <translation>الزاوية العلوية اليسرى</translation>
    </message>
    <message>
        <source>Upper right corner</source>
        <translation>الزاوية العلوية اليمنى</translation>
    </message>
    <message>
        <source>Lower right corner</source>
        <translation>الزاوية السفلية اليمنى</translation>
    </message>
    <message>
        <source>Lower left corner</source>
        <translation>الزاوية السفلية اليسرى</translation>
    </message>
    <message>
        <source>Arrows move it; with Shift, in larger steps.</source>
        <translation>تُحرَّك بالأسهم؛ ومع مفتاح Shift بخطوات أكبر.</translation>
    </message>
    <message>
        <source>Camera picture</source>
        <translation>صورة الكاميرا</translation>
    </message>
    <message>
        <source>No picture yet</source>
        <translation>لا توجد صورة بعد</translation>
    </message>
    <message>
        <source>Photograph a page</source>
        <translation>تصوير صفحة</translation>
    </message>
    <message>
        <source>The page as it will be kept</source>
        <translation>الصفحة كما ستُحفظ</translation>
    </message>
    <message>
        <source>Again</source>
        <translation>إعادة التصوير</translation>
    </message>
    <message>
        <source>Use as it is</source>
        <translation>استخدامها كما هي</translation>
    </message>
    <message>
        <source>Take</source>
        <translation>التقاط</translation>
    </message>
    <message>
        <source>Use</source>
        <translation>استخدام</translation>
    </message>
    <message>
        <source>Lay the page flat, in even light, and hold the camera so that it fills the picture.</source>
        <translation>ضع الصفحة مسطحة في ضوء متساوٍ، وأمسك الكاميرا بحيث تملأ الصفحة الصورة.</translation>
    </message>
    <message>
        <source>No sheet was found. Move the corners to those of the sheet, or use the picture as it is.</source>
        <translation>لم يُعثر على ورقة. حرّك الزوايا إلى زوايا الورقة، أو استخدم الصورة كما هي.</translation>
    </message>
    <message>
        <source>Is every word legible? The corners can be moved.</source>
        <translation>هل كل كلمة مقروءة؟ يمكن تحريك الزوايا.</translation>
    </message>
    <message>
        <source>Look at the corners: they may be wrong. They can be moved.</source>
        <translation>انظر إلى الزوايا: فقد تكون خاطئة. يمكن تحريكها.</translation>
    </message>
    <message>
        <source>The camera&apos;s picture is coarse: small print may not be legible.</source>
        <translation>صورة الكاميرا قليلة الدقة: قد لا تكون الكتابة الصغيرة مقروءة.</translation>
    </message>
    <message>
        <source>Progress of the scan</source>
        <translation>تقدم القياس</translation>
    </message>
    <message>
        <source>Pages</source>
        <translation>الصفحات</translation>
    </message>
    <message>
        <source>Who is measured</source>
        <translation>الشخص الذي يُقاس</translation>
    </message>
    <message>
        <source>Cancelled; nothing was kept.</source>
        <translation>أُلغي القياس؛ لم يُحفظ شيء.</translation>
    </message>
    <message>
        <source>This document can&apos;t be shown here any more.</source>
        <translation>لم يعد من الممكن عرض هذا المستند هنا.</translation>
    </message>
    <message>
        <source>No camera was found</source>
        <translation>لم يُعثر على كاميرا</translation>
    </message>
    <message>
        <source>Plug in a camera, or switch it on, and try again.</source>
        <translation>وصّل كاميرا أو شغّلها، ثم أعد المحاولة.</translation>
    </message>
    <message>
        <source>The result of the last scan is not saved. Throw it away, and begin a new scan?</source>
        <translation>نتيجة القياس الأخير غير محفوظة. هل تريد تجاهلها وبدء قياس جديد؟</translation>
    </message>
    <message>
        <source>Is this the result of {name}? It would be kept in their history.</source>
        <translation>هل هذه نتيجة {name}؟ ستُحفظ في سجل هذا الشخص.</translation>
    </message>
    <message>
        <source>Whose result is this?</source>
        <translation>لمن هذه النتيجة؟</translation>
    </message>
    <message>
        <source>Yes, {name}</source>
        <translation>نعم، {name}</translation>
    </message>
    <message>
        <source>Saved for {name}.</source>
        <translation>حُفظ باسم {name}.</translation>
    </message>
    <message>
        <source>Nobody on this device has this record number. Nobody else was chosen.</source>
        <translation>لا أحد على هذا الجهاز له رقم الملف الطبي هذا. ولم يُختر أي شخص آخر.</translation>
    </message>
    <message>
        <source>Find by record number…</source>
        <translation>البحث برقم الملف الطبي…</translation>
    </message>
    <message>
        <source>It was sent: the clinic&apos;s copy is erased once this can&apos;t be put back any more.</source>
        <translation>كان قد أُرسل: تُمحى نسخة العيادة بعد أن تنتهي مهلة استعادته.</translation>
    </message>
    <message>
        <source>It was sent: the clinic keeps its copy until all of this person is deleted for ever.</source>
        <translation>كان قد أُرسل: تحتفظ العيادة بنسختها إلى أن يُحذف كل ما يخص هذا الشخص نهائيًا.</translation>
    </message>
    <message>
        <source>This was deleted before.</source>
        <translation>حُذف هذا من قبل.</translation>
    </message>
    <message>
        <source>The result is hidden, because nobody used this for {minutes} min.</source>
        <translation>أُخفيت النتيجة لعدم الاستخدام مدة {minutes} د.</translation>
    </message>
    <message>
        <source>The conversation was forgotten, because nobody used this for {minutes} min.</source>
        <translation>مُحيت المحادثة لعدم الاستخدام مدة {minutes} د.</translation>
    </message>
    <message>
        <source>Locked.</source>
        <translation>تم القفل.</translation>
    </message>
    <message>
        <source>What was being typed or asked is closed; nothing of it was kept.</source>
        <translation>أُغلق ما كان يُكتب أو يُسأل عنه؛ ولم يُحفظ منه شيء.</translation>
    </message>
    <message>
        <source>Show it</source>
        <translation>عرضها</translation>
    </message>
    <message>
        <source>Not saved</source>
        <translation>غير محفوظة</translation>
    </message>
    <message>
        <source>Throw it away</source>
        <translation>تجاهلها</translation>
    </message>
    <message>
        <source>Drop files here, or choose them: PDF, JPEG or PNG.</source>
        <translation>أفلت الملفات هنا، أو اخترها: PDF أو JPEG أو PNG.</translation>
    </message>
    <message>
        <source>Place, time and camera are taken out of pictures. A PDF is kept as it is.</source>
        <translation>يُزال من الصور ذكر المكان والوقت والكاميرا. أما ملف PDF فيُحفظ كما هو.</translation>
    </message>
    <message>
        <source>Add files…</source>
        <translation>إضافة ملفات…</translation>
    </message>
    <message>
        <source>Photograph a page…</source>
        <translation>تصوير صفحة…</translation>
    </message>
    <message>
        <source>Adding</source>
        <translation>جارٍ الإضافة</translation>
    </message>
    <message>
        <source>Progress of adding</source>
        <translation>تقدم الإضافة</translation>
    </message>
    <message>
        <source>Not added</source>
        <translation>لم تتم الإضافة</translation>
    </message>
    <message>
        <source>Nothing is kept here yet.</source>
        <translation>لا يوجد شيء محفوظ هنا بعد.</translation>
    </message>
    <message>
        <source>Documents, the newest first</source>
        <translation>المستندات، الأحدث أولًا</translation>
    </message>
    <message>
        <source>At the clinic</source>
        <translation>لدى العيادة</translation>
    </message>
    <message>
        <source>Preview</source>
        <translation>معاينة</translation>
    </message>
    <message>
        <source>Save a copy…</source>
        <translation>حفظ نسخة…</translation>
    </message>
    <message>
        <source>Documents of {name}</source>
        <translation>مستندات {name}</translation>
    </message>
    <message>
        <source>Add documents</source>
        <translation>إضافة مستندات</translation>
    </message>
    <message>
        <source>Documents and pictures (*.pdf *.png *.jpg *.jpeg);;All files (*)</source>
        <translation>المستندات والصور (*.pdf *.png *.jpg *.jpeg);;كل الملفات (*)</translation>
    </message>
    <message>
        <source>Photographed page {when}</source>
        <translation>صفحة مصورة ‎{when}‎</translation>
    </message>
    <message>
        <source>These are {count} files; at most {most} are added at once.</source>
        <translation>عدد هذه الملفات {count}؛ وأقصى ما يُضاف دفعة واحدة {most}.</translation>
    </message>
    <message>
        <source>Something is being added already. Wait until that is done.</source>
        <translation>تجري إضافة شيء بالفعل. انتظر حتى تنتهي.</translation>
    </message>
    <message>
        <source>Somebody else was chosen meanwhile, so nothing was added. Add it again.</source>
        <translation>اختير شخص آخر في هذه الأثناء، فلم يُضَف شيء. أضفه من جديد.</translation>
    </message>
    <message>
        <source>Being cancelled …</source>
        <translation>جارٍ الإلغاء …</translation>
    </message>
    <message>
        <source>Adding {at} of {total} …</source>
        <translation>جارٍ إضافة {at} من {total} …</translation>
    </message>
    <message>
        <source>Adding was cancelled.</source>
        <translation>أُلغيت الإضافة.</translation>
    </message>
    <message>
        <source>1 document was added.</source>
        <translation>أُضيف مستند واحد.</translation>
    </message>
    <message>
        <source>{count} documents were added.</source>
        <translation>عدد المستندات التي أُضيفت: {count}.</translation>
    </message>
    <message>
        <source>Save a copy</source>
        <translation>حفظ نسخة</translation>
    </message>
    <message>
        <source>The copy is not encrypted: whoever can open the folder can read it. Save it?</source>
        <translation>النسخة غير مشفرة: كل من يستطيع فتح المجلد يستطيع قراءتها. هل تريد حفظها؟</translation>
    </message>
    <message>
        <source>Choose where…</source>
        <translation>اختيار المكان…</translation>
    </message>
    <message>
        <source>Written: {name}, in the folder {folder}. It is not encrypted.</source>
        <translation>كُتب الملف {name}، في المجلد ‎{folder}‎. الملف غير مشفر.</translation>
    </message>
    <message>
        <source>Undo</source>
        <translation>تراجع</translation>
    </message>
    <message>
        <source>Deleted.</source>
        <translation>تم الحذف.</translation>
    </message>
    <message>
        <source>This can&apos;t be put back any more</source>
        <translation>لم تعد استعادة هذا ممكنة</translation>
    </message>
    <message>
        <source>Add it again from where it came from.</source>
        <translation>أضفه من جديد من مصدره.</translation>
    </message>
    <message>
        <source>Report (*.pdf);;Data (*.json)</source>
        <translation>تقرير (*.pdf);;بيانات (*.json)</translation>
    </message>
    <message>
        <source>Save the report of this scan</source>
        <translation>حفظ تقرير هذا القياس</translation>
    </message>
    <message>
        <source>Report written: {name}, in the folder {folder}</source>
        <translation>كُتب التقرير: {name}، في المجلد ‎{folder}‎</translation>
    </message>
    <message>
        <source>Everything, with documents (*.zip);;Table (*.csv);;Data (*.json);;For another system, FHIR (*.fhir.json);;Overview (*.pdf)</source>
        <translation>الكل، مع المستندات (*.zip);;جدول (*.csv);;بيانات (*.json);;لنظام آخر، FHIR (*.fhir.json);;نظرة عامة (*.pdf)</translation>
    </message>
    <message>
        <source>Save all that is kept: {name}</source>
        <translation>حفظ كل المحفوظات: {name}</translation>
    </message>
    <message>
        <source>Written: {name}, {count} kept, in the folder {folder}. It is not encrypted.</source>
        <translation>كُتب الملف {name}، عدد المحفوظات فيه {count}، في المجلد ‎{folder}‎. الملف غير مشفر.</translation>
    </message>
    <message>
        <source>{name} is there already. Replace it?</source>
        <translation>الملف {name} موجود بالفعل. هل تريد استبداله؟</translation>
    </message>
    <message>
        <source>Replace</source>
        <translation>استبدال</translation>
    </message>
    <message>
        <source>Writing {name} …</source>
        <translation>جارٍ كتابة {name} …</translation>
    </message>
    <message>
        <source>Choose a person at the top first; a guest has no name.</source>
        <translation>اختر أولًا شخصًا من الأعلى؛ فالضيف ليس له اسم.</translation>
    </message>
    <message>
        <source>Choose a person at the top first; a guest can&apos;t be deleted.</source>
        <translation>اختر أولًا شخصًا من الأعلى؛ لا يمكن حذف الضيف.</translation>
    </message>
    <message>
        <source>Delete a person</source>
        <translation>حذف شخص</translation>
    </message>
    <message>
        <source>Delete {name}</source>
        <translation>حذف {name}</translation>
    </message>
    <message>
        <source>{name} was deleted.</source>
        <translation>تم حذف {name}.</translation>
    </message>
    <message>
        <source>Delete {name} and all that is kept of them for ever? Nobody can put this back, and backups on this device lose it too.</source>
        <translation>هل تريد حذف {name} وكل ما هو محفوظ لهذا الشخص نهائيًا؟ لا يستطيع أحد استعادته، ويُزال أيضًا من النسخ الاحتياطية على هذا الجهاز.</translation>
    </message>
    <message>
        <source>What was sent of them is erased in the clinic&apos;s cloud as soon as it can be reached.</source>
        <translation>وما أُرسل من بيانات هذا الشخص يُمحى من سحابة العيادة فور إمكان الوصول إليها.</translation>
    </message>
    <message>
        <source>Delete for ever</source>
        <translation>حذف نهائي</translation>
    </message>
    <message>
        <source>Delete {name} for ever</source>
        <translation>حذف {name} نهائيًا</translation>
    </message>
    <message>
        <source>{name} was deleted for ever.</source>
        <translation>تم حذف {name} نهائيًا.</translation>
    </message>
    <message>
        <source>This can&apos;t be put back: its person is deleted, or it was too long ago.</source>
        <translation>لا يمكن استعادة هذا: حُذف صاحبه، أو مضى وقت طويل.</translation>
    </message>
    <message>
        <source>Nobody has a recovery key on paper yet. Without one, what is kept is lost with this computer&apos;s key store.</source>
        <translation>لا أحد لديه مفتاح استرداد على ورق بعد. وبدونه يضيع كل ما هو محفوظ إذا ضاع مخزن المفاتيح في هذا الحاسوب.</translation>
    </message>
    <message>
        <source>Make one…</source>
        <translation>إنشاء مفتاح…</translation>
    </message>
    <message>
        <source>The recovery key is in force now, instead of any older one.</source>
        <translation>مفتاح الاسترداد سارٍ الآن، بدلًا من أي مفتاح أقدم.</translation>
    </message>
    <message>
        <source>The new recovery key is not in force: throw its paper away. An older one stays valid.</source>
        <translation>مفتاح الاسترداد الجديد غير سارٍ: تخلص من ورقته. ويبقى أي مفتاح أقدم صالحًا.</translation>
    </message>
    <message>
        <source>Begin a new, empty store? Only where nobody has the recovery key any more, and this system&apos;s key store will not come back: what is kept now is then on no list, in no report, and what of it waits is not sent. Nothing of it is deleted: it is set aside, encrypted as it is, in a folder with the date of today, and its recovery key opens it should it be found.</source>
        <translation>هل تريد بدء مخزن جديد فارغ؟ فقط إذا لم يعد مفتاح الاسترداد عند أحد ولن يعود مخزن مفاتيح هذا النظام: ما هو محفوظ الآن لن يكون حينها في أي قائمة ولا في أي تقرير، وما ينتظر منه لن يُرسل. لا يُحذف منه شيء: يوضع جانبًا، مشفّرًا كما هو، في مجلد بتاريخ اليوم، ويفتحه مفتاح استرداده إن وُجد.</translation>
    </message>
    <message>
        <source>Begin a new store</source>
        <translation>بدء مخزن جديد</translation>
    </message>
    <message>
        <source>Locked, because nobody used it for {minutes} min.</source>
        <translation>تم القفل لعدم الاستخدام مدة {minutes} د.</translation>
    </message>
    <message>
        <source>Unlock</source>
        <translation>فتح القفل</translation>
    </message>
    <message>
        <source>{name} was closed before its first picture</source>
        <translation>تم إغلاق {name} قبل وصول أول صورة</translation>
    </message>
    <message>
        <source>Start again.</source>
        <translation>ابدأ من جديد.</translation>
    </message>
    <message>
        <source>{name} shows the same picture again and again</source>
        <translation>تتكرر الصورة نفسها من {name}</translation>
    </message>
    <message>
        <source>Unfreeze the camera program, or plug the camera in again.</source>
        <translation>أزل التجميد في برنامج الكاميرا، أو أعد توصيل الكاميرا.</translation>
    </message>
    <message>
        <source>{name} has sent no picture for {seconds} s</source>
        <translation>لم تصل أي صورة من {name} منذ {seconds} ث</translation>
    </message>
    <message>
        <source>Check its cable; the camera is opened again as soon as it is back.</source>
        <translation>تحقق من الكابل؛ تُفتح الكاميرا من جديد فور عودتها.</translation>
    </message>
    <message>
        <source>The camera gives {rate} frames per second instead of {promised}: most cameras do in dim light, so give it more.</source>
        <translation>تعطي الكاميرا {rate} من الإطارات في الثانية بدلًا من {promised}: هكذا تفعل معظم الكاميرات في الضوء الخافت، فزد الإضاءة.</translation>
    </message>
    <message>
        <source>{name} sends pictures of {width}×{height} pixels, too small for a face</source>
        <translation>الصور من {name} بحجم ‎{width}×{height}‎ بكسل، وهي أصغر من أن يُقاس فيها وجه</translation>
    </message>
    <message>
        <source>Set it to 640×480 in its own program, or use another camera.</source>
        <translation>اضبطها على ‎640×480‎ في برنامجها الخاص، أو استخدم كاميرا أخرى.</translation>
    </message>
    <message>
        <source>{name} shows only black</source>
        <translation>الصورة من {name} سوداء تمامًا</translation>
    </message>
    <message>
        <source>Take the cover off the lens, switch its privacy switch off, or make light; a program that holds the camera can be the cause too.</source>
        <translation>أزل غطاء العدسة، أو أوقف مفتاح الخصوصية، أو أضئ المكان؛ وقد يكون السبب أيضًا برنامجًا يحجز الكاميرا.</translation>
    </message>
    <message>
        <source>{name} did not answer within {seconds} s</source>
        <translation>لم يصل رد من {name} خلال {seconds} ث</translation>
    </message>
    <message>
        <source>Plug the camera out and in again, then try again.</source>
        <translation>افصل الكاميرا ووصّلها من جديد، ثم أعد المحاولة.</translation>
    </message>
    <message>
        <source>{name} was opened but sent no picture within {seconds} s</source>
        <translation>تم فتح {name} ولم تصل منها أي صورة خلال {seconds} ث</translation>
    </message>
    <message>
        <source>Close other programs that use it, and plug it directly into the computer, not into a hub.</source>
        <translation>أغلق البرامج الأخرى التي تستخدمها، ووصّلها بالحاسوب مباشرة، لا بموزع USB.</translation>
    </message>
    <message>
        <source>The camera failed and was opened again ({count} ×).</source>
        <translation>تعطلت الكاميرا وفُتحت من جديد (عدد المرات: {count}).</translation>
    </message>
    <message>
        <source>{count} pictures were dropped because this computer was late.</source>
        <translation>عدد الصور التي أُهملت لأن هذا الحاسوب تأخر: {count}.</translation>
    </message>
    <message>
        <source>unknown format</source>
        <translation>غير معروفة</translation>
    </message>
    <message>
        <source>Camera: {size}, {format}.</source>
        <translation>الكاميرا: الحجم ‎{size}‎، والصيغة {format}.</translation>
    </message>
    <message>
        <source>Camera: {size}, {format}, {rate} frames per second promised.</source>
        <translation>الكاميرا: الحجم ‎{size}‎، والصيغة {format}، وعدد الإطارات الموعود في الثانية {rate}.</translation>
    </message>
    <message>
        <source>Times are those of the grab: the driver&apos;s own stopped agreeing with the clock.</source>
        <translation>الأوقات هي أوقات الالتقاط: لم تعد أوقات برنامج التشغيل تطابق الساعة.</translation>
    </message>
    <message>
        <source>Times are the driver&apos;s own.</source>
        <translation>الأوقات هي أوقات برنامج التشغيل نفسه.</translation>
    </message>
    <message>
        <source>Times are those of the grab: the driver has none that can be used.</source>
        <translation>الأوقات هي أوقات الالتقاط: لا يعطي برنامج التشغيل أوقاتًا يمكن استخدامها.</translation>
    </message>
    <message>
        <source>Exposure could not be locked: the picture changed its brightness when it was tried.</source>
        <translation>تعذر تثبيت التعريض: تغير سطوع الصورة عند المحاولة.</translation>
    </message>
    <message>
        <source>Exposure locked.</source>
        <translation>تم تثبيت التعريض.</translation>
    </message>
    <message>
        <source>Exposure could not be locked: the driver refused.</source>
        <translation>تعذر تثبيت التعريض: رفض برنامج التشغيل ذلك.</translation>
    </message>
    <message>
        <source>Exposure could not be locked: the driver has no such control.</source>
        <translation>تعذر تثبيت التعريض: لا يتيح برنامج التشغيل هذا التحكم.</translation>
    </message>
    <message>
        <source>White balance locked.</source>
        <translation>تم تثبيت توازن اللون الأبيض.</translation>
    </message>
    <message>
        <source>White balance could not be locked: the driver refused.</source>
        <translation>تعذر تثبيت توازن اللون الأبيض: رفض برنامج التشغيل ذلك.</translation>
    </message>
    <message>
        <source>White balance could not be locked: the driver has no such control.</source>
        <translation>تعذر تثبيت توازن اللون الأبيض: لا يتيح برنامج التشغيل هذا التحكم.</translation>
    </message>
    <message>
        <source>No camera is plugged in, or the system does not show it</source>
        <translation>لا توجد كاميرا موصولة، أو أن النظام لا يُظهرها</translation>
    </message>
    <message>
        <source>Plug one in, or measure a file (--video), a stream (--url) or the demo (--demo).</source>
        <translation>وصّل كاميرا، أو قس من ملف (‎--video) أو من بث (‎--url) أو من العرض التجريبي (‎--demo).</translation>
    </message>
    <message>
        <source>There is no camera {name}</source>
        <translation>لا توجد الكاميرا {name}</translation>
    </message>
    <message>
        <source>Choose one of: {names} (health-helper cameras).</source>
        <translation>اختر واحدة من: {names} (health-helper cameras).</translation>
    </message>
    <message>
        <source>{name} was unplugged</source>
        <translation>تم فصل {name}</translation>
    </message>
    <message>
        <source>Plug it in again.</source>
        <translation>أعد توصيلها.</translation>
    </message>
    <message>
        <source>You may not use {name}</source>
        <translation>لا يُسمح لك باستخدام {name}</translation>
    </message>
    <message>
        <source>Allow it: sudo usermod -aG video {user}, then log in again.</source>
        <translation>اسمح بذلك بالأمر: sudo usermod -aG video {user} ثم سجّل الدخول من جديد.</translation>
    </message>
    <message>
        <source>{name} is used by {program}</source>
        <translation>الكاميرا {name} يستخدمها {program}</translation>
    </message>
    <message>
        <source>Close that program, then try again.</source>
        <translation>أغلق ذلك البرنامج، ثم أعد المحاولة.</translation>
    </message>
    <message>
        <source>{name} cannot be opened</source>
        <translation>لا يمكن فتح {name}</translation>
    </message>
    <message>
        <source>Close other programs that use it (video calls, browsers), allow this terminal to use the camera in the system&apos;s privacy settings, then plug it in again.</source>
        <translation>أغلق البرامج الأخرى التي تستخدمها (مكالمات الفيديو والمتصفحات)، واسمح لهذه الطرفية باستخدام الكاميرا في إعدادات الخصوصية في النظام، ثم أعد توصيلها.</translation>
    </message>
    <message>
        <source>process {number}</source>
        <translation>العملية {number}</translation>
    </message>
    <message>
        <source>a web page</source>
        <translation>صفحة ويب</translation>
    </message>
    <message>
        <source>a single picture</source>
        <translation>صورة واحدة</translation>
    </message>
    <message>
        <source>data without a type</source>
        <translation>بيانات بلا نوع محدد</translation>
    </message>
    <message>
        <source>something else</source>
        <translation>شيء آخر</translation>
    </message>
    <message>
        <source>Check the camera and its network; the connection is tried again by itself.</source>
        <translation>تحقق من الكاميرا وشبكتها؛ تُعاد محاولة الاتصال تلقائيًا.</translation>
    </message>
    <message>
        <source>{name} sends {what}, not an MJPEG stream</source>
        <translation>ما يصل من {name} هو {what}، وليس بث MJPEG</translation>
    </message>
    <message>
        <source>Look up the address of the camera&apos;s MJPEG stream (multipart/x-mixed-replace) in its manual.</source>
        <translation>ابحث في دليل الكاميرا عن عنوان بث MJPEG الخاص بها (multipart/x-mixed-replace).</translation>
    </message>
    <message>
        <source>Choose a larger picture in the camera&apos;s settings, 640×480 for example.</source>
        <translation>اختر صورة أكبر في إعدادات الكاميرا، مثل ‎640×480‎.</translation>
    </message>
    <message>
        <source>{name} sends data that are no JPEG pictures ({count} could not be decoded)</source>
        <translation>ما يصل من {name} بيانات ليست صور JPEG (عدد ما تعذر فك ترميزه: {count})</translation>
    </message>
    <message>
        <source>Check the stream in a browser; restart the camera, or choose MJPEG in its settings.</source>
        <translation>تحقق من البث في متصفح؛ أعد تشغيل الكاميرا، أو اختر MJPEG في إعداداتها.</translation>
    </message>
    <message>
        <source>Take the cover off the lens, switch its privacy mode off, or give it light.</source>
        <translation>أزل غطاء العدسة، أو أوقف وضع الخصوصية، أو وفر لها ضوءًا.</translation>
    </message>
    <message>
        <source>{name} answered but sent no picture within {seconds} s</source>
        <translation>وصل رد من {name} ولم تصل أي صورة خلال {seconds} ث</translation>
    </message>
    <message>
        <source>Check that the camera is on and not used by others, then try again.</source>
        <translation>تأكد من أن الكاميرا تعمل ولا يستخدمها آخرون، ثم أعد المحاولة.</translation>
    </message>
    <message>
        <source>{name} ended its stream before the first picture</source>
        <translation>انتهى البث من {name} قبل وصول أول صورة</translation>
    </message>
    <message>
        <source>{count} pictures in the stream could not be decoded and were skipped.</source>
        <translation>عدد صور البث التي تعذر فك ترميزها وتم تخطيها: {count}.</translation>
    </message>
    <message>
        <source>The stream broke off; it was connected again ({count} ×).</source>
        <translation>انقطع البث وأُعيد الاتصال به (عدد المرات: {count}).</translation>
    </message>
    <message>
        <source>The stream broke off and did not come back within {seconds} s.</source>
        <translation>انقطع البث ولم يعد خلال {seconds} ث.</translation>
    </message>
    <message>
        <source>Times are the stream&apos;s own (X-Timestamp).</source>
        <translation>الأوقات هي أوقات البث نفسه (X-Timestamp).</translation>
    </message>
    <message>
        <source>Times are those of arrival: the stream&apos;s own (X-Timestamp) ran away from them by {seconds} s before that was certain.</source>
        <translation>الأوقات هي أوقات الوصول: ابتعدت عنها أوقات البث نفسه (X-Timestamp) بمقدار {seconds} ث قبل التأكد من ذلك.</translation>
    </message>
    <message>
        <source>Times are those of arrival: the stream&apos;s own (X-Timestamp) jumped.</source>
        <translation>الأوقات هي أوقات الوصول: قفزت أوقات البث نفسه (X-Timestamp).</translation>
    </message>
    <message>
        <source>Times are those of arrival at this computer.</source>
        <translation>الأوقات هي أوقات الوصول إلى هذا الحاسوب.</translation>
    </message>
    <message>
        <source>Give an address like http://192.168.1.20:8080/video.</source>
        <translation>اكتب عنوانًا مثل ‎http://192.168.1.20:8080/video‎.</translation>
    </message>
    <message>
        <source>The address of the stream is not a URL</source>
        <translation>عنوان البث ليس عنوان URL</translation>
    </message>
    <message>
        <source>The address of the stream starts with {scheme}; only http:// and https:// can be read</source>
        <translation>يبدأ عنوان البث بـ ‎{scheme}‎؛ ولا يمكن قراءة غير http://‎ وhttps://‎</translation>
    </message>
    <message>
        <source>The address of the stream does not start with http:// or https://</source>
        <translation>لا يبدأ عنوان البث بـ http://‎ أو https://‎</translation>
    </message>
    <message>
        <source>The address of the stream names no computer</source>
        <translation>عنوان البث لا يتضمن اسم حاسوب</translation>
    </message>
    <message>
        <source>{name} asks for a user name and a password (401)</source>
        <translation>يطلب {name} اسم مستخدم وكلمة مرور (401)</translation>
    </message>
    <message>
        <source>Put the right ones into the address: http://user:password@host/….</source>
        <translation>ضع الصحيحين في العنوان: http://user:password@host/…‎.</translation>
    </message>
    <message>
        <source>{name} refuses this user (403)</source>
        <translation>يرفض {name} هذا المستخدم (403)</translation>
    </message>
    <message>
        <source>Use another user, or allow this one to see the stream in the camera&apos;s settings.</source>
        <translation>استخدم مستخدمًا آخر، أو اسمح لهذا المستخدم بمشاهدة البث في إعدادات الكاميرا.</translation>
    </message>
    <message>
        <source>{name} has no stream at this path ({status})</source>
        <translation>لا يوجد بث في هذا المسار على {name} ({status})</translation>
    </message>
    <message>
        <source>Look up the path of the MJPEG stream in the camera&apos;s manual.</source>
        <translation>ابحث عن مسار بث MJPEG في دليل الكاميرا.</translation>
    </message>
    <message>
        <source>{name} says that the stream is elsewhere ({status})</source>
        <translation>يفيد {name} بأن البث في مكان آخر ({status})</translation>
    </message>
    <message>
        <source>Open the address in a browser and use the one that it ends at.</source>
        <translation>افتح العنوان في متصفح واستخدم العنوان الذي ينتهي إليه.</translation>
    </message>
    <message>
        <source>{name} has a fault of its own ({status})</source>
        <translation>حدث خطأ في {name} نفسه ({status})</translation>
    </message>
    <message>
        <source>Restart the camera, or wait until others stop using it.</source>
        <translation>أعد تشغيل الكاميرا، أو انتظر حتى يتوقف الآخرون عن استخدامها.</translation>
    </message>
    <message>
        <source>{name} answered with status {status} instead of a stream</source>
        <translation>رد {name} بالحالة {status} بدلًا من البث</translation>
    </message>
    <message>
        <source>Check the address.</source>
        <translation>تحقق من العنوان.</translation>
    </message>
    <message>
        <source>The certificate of {name} is not trusted</source>
        <translation>شهادة {name} غير موثوقة</translation>
    </message>
    <message>
        <source>Install the camera&apos;s certificate (or its authority&apos;s) on this computer, or use http://.</source>
        <translation>ثبّت شهادة الكاميرا (أو شهادة جهة إصدارها) على هذا الحاسوب، أو استخدم http://‎.</translation>
    </message>
    <message>
        <source>{name} does not speak TLS as expected</source>
        <translation>لا يتواصل {name} ببروتوكول TLS كما هو متوقع</translation>
    </message>
    <message>
        <source>Check the port, or use http:// in the address.</source>
        <translation>تحقق من المنفذ، أو استخدم http://‎ في العنوان.</translation>
    </message>
    <message>
        <source>No computer named {name} is known</source>
        <translation>لا يُعرف حاسوب باسم {name}</translation>
    </message>
    <message>
        <source>Check the spelling and the network.</source>
        <translation>تحقق من الكتابة ومن الشبكة.</translation>
    </message>
    <message>
        <source>{name} refuses the connection</source>
        <translation>يرفض {name} الاتصال</translation>
    </message>
    <message>
        <source>Check that the camera&apos;s stream is switched on and that the port is right.</source>
        <translation>تأكد من أن بث الكاميرا مفعّل وأن المنفذ صحيح.</translation>
    </message>
    <message>
        <source>{name} broke off or does not speak HTTP</source>
        <translation>قطع {name} الاتصال أو أنه لا يتواصل ببروتوكول HTTP</translation>
    </message>
    <message>
        <source>Check the port, and open the address in a browser.</source>
        <translation>تحقق من المنفذ، وافتح العنوان في متصفح.</translation>
    </message>
    <message>
        <source>{name} cannot be reached</source>
        <translation>لا يمكن الوصول إلى {name}</translation>
    </message>
    <message>
        <source>Check the network and the address.</source>
        <translation>تحقق من الشبكة ومن العنوان.</translation>
    </message>
    <message>
        <source>{name} has no frames</source>
        <translation>لا توجد إطارات في {name}</translation>
    </message>
    <message>
        <source>Ask the simulation for more than 0 s.</source>
        <translation>اطلب من المحاكاة أكثر من 0 ث.</translation>
    </message>
    <message>
        <source>Simulated: no person was in front of a camera.</source>
        <translation>محاكاة: لم يكن أي شخص أمام كاميرا.</translation>
    </message>
    <message>
        <source>a still picture (PNG)</source>
        <translation>صورة ثابتة (PNG)</translation>
    </message>
    <message>
        <source>a still picture (JPEG)</source>
        <translation>صورة ثابتة (JPEG)</translation>
    </message>
    <message>
        <source>a PDF document</source>
        <translation>مستند PDF</translation>
    </message>
    <message>
        <source>a ZIP archive or an office document</source>
        <translation>أرشيف ZIP أو مستند مكتبي</translation>
    </message>
    <message>
        <source>sound only (MP3)</source>
        <translation>صوت فقط (MP3)</translation>
    </message>
    <message>
        <source>sound only (FLAC)</source>
        <translation>صوت فقط (FLAC)</translation>
    </message>
    <message>
        <source>an Ogg file, most likely sound only</source>
        <translation>ملف Ogg، وهو على الأرجح صوت فقط</translation>
    </message>
    <message>
        <source>Give a video file that a media player can play, for example an MP4 of your phone.</source>
        <translation>اختر ملف فيديو يستطيع مشغّل الوسائط تشغيله، مثل ملف MP4 من هاتفك.</translation>
    </message>
    <message>
        <source>{name} holds sound but no picture</source>
        <translation>في الملف {name} صوت بلا صورة</translation>
    </message>
    <message>
        <source>{name} breaks off before anything in it can be decoded</source>
        <translation>ينقطع الملف {name} قبل أن يمكن فك ترميز أي شيء منه</translation>
    </message>
    <message>
        <source>Copy or record the file again; it was not written to its end.</source>
        <translation>انسخ الملف أو سجّله من جديد؛ فهو لم يُكتب حتى نهايته.</translation>
    </message>
    <message>
        <source>{name} is not a video that can be decoded</source>
        <translation>الملف {name} ليس فيديو يمكن فك ترميزه</translation>
    </message>
    <message>
        <source>{name} has pictures of {width}×{height} pixels, more than can be handled</source>
        <translation>صور الملف {name} بحجم ‎{width}×{height}‎ بكسل، وهو أكبر مما يمكن معالجته</translation>
    </message>
    <message>
        <source>Scale the video down to 4K or less; a face needs only a few hundred pixels.</source>
        <translation>صغّر الفيديو إلى ‎4K أو أقل؛ فالوجه لا يحتاج إلا إلى بضع مئات من البكسلات.</translation>
    </message>
    <message>
        <source>{name} holds no frame that can be decoded</source>
        <translation>لا يحتوي الملف {name} على أي إطار يمكن فك ترميزه</translation>
    </message>
    <message>
        <source>Copy or record the file again, or convert it to H.264 in an MP4.</source>
        <translation>انسخ الملف أو سجّله من جديد، أو حوّله إلى H.264 في ملف MP4.</translation>
    </message>
    <message>
        <source>{name} has pictures of {width}×{height} pixels, too small for a face</source>
        <translation>صور الملف {name} بحجم ‎{width}×{height}‎ بكسل، وهي أصغر من أن يُقاس فيها وجه</translation>
    </message>
    <message>
        <source>Give a larger video; a face needs some hundred pixels.</source>
        <translation>استخدم فيديو أكبر؛ فالوجه يحتاج إلى بضع مئات من البكسلات.</translation>
    </message>
    <message>
        <source>{name} says nothing about when its frames were taken</source>
        <translation>لا يذكر الملف {name} متى التُقطت إطاراته</translation>
    </message>
    <message>
        <source>Record again with a program that stores times, or convert the file to MP4 or Matroska.</source>
        <translation>سجّل من جديد ببرنامج يحفظ الأوقات، أو حوّل الملف إلى MP4 أو Matroska.</translation>
    </message>
    <message>
        <source>{percent} % of the frames are copies of the one before: pictures were taken about {taken} times per second, not {rate}.</source>
        <translation>نسبة الإطارات التي هي نسخ مما قبلها {percent} %: التُقطت الصور بنحو {taken} في الثانية، لا {rate}.</translation>
    </message>
    <message>
        <source>The file breaks off ({count} bytes are missing): only what is there is measured.</source>
        <translation>الملف مقطوع (عدد البايتات الناقصة: {count}): لا يُقاس إلا الموجود منه.</translation>
    </message>
    <message>
        <source>An AVI file stores no time per frame: times follow the one rate in its header.</source>
        <translation>لا يخزن ملف AVI وقتًا لكل إطار: تتبع الأوقات المعدل الوحيد في ترويسته.</translation>
    </message>
    <message>
        <source>The header says {header} frames per second, the times of the frames say {mean}; the times are used.</source>
        <translation>الإطارات في الثانية بحسب الترويسة {header}، وبحسب أوقات الإطارات {mean}؛ تُستخدم الأوقات.</translation>
    </message>
    <message>
        <source>The header lists {listed} frames, {shown} can be shown ({percent} % fewer): the file was cut or re-timed after it was recorded, so the frame rate in its header cannot be trusted.</source>
        <translation>عدد الإطارات بحسب الترويسة {listed}، وما يمكن عرضه {shown} (أقل بنسبة {percent} %): قُطع الملف أو غُيرت أوقاته بعد تسجيله، فلا يمكن الوثوق بمعدل الإطارات في ترويسته.</translation>
    </message>
    <message>
        <source>The header lists {listed} frames, {shown} can be shown ({percent} % more): the file was cut or re-timed after it was recorded, so the frame rate in its header cannot be trusted.</source>
        <translation>عدد الإطارات بحسب الترويسة {listed}، وما يمكن عرضه {shown} (أكثر بنسبة {percent} %): قُطع الملف أو غُيرت أوقاته بعد تسجيله، فلا يمكن الوثوق بمعدل الإطارات في ترويسته.</translation>
    </message>
    <message>
        <source>{count} of {all} frames carry no time of their own; the usual distance between frames was put in.</source>
        <translation>عدد الإطارات التي ليس لها وقت خاص بها {count} من {all}؛ وُضعت المسافة المعتادة بين الإطارات.</translation>
    </message>
    <message>
        <source>The times in the file jump back ({count} ×); they were joined end to end.</source>
        <translation>تقفز الأوقات في الملف إلى الوراء (عدد المرات: {count})؛ وُصلت أجزاؤها بعضها ببعض.</translation>
    </message>
    <message>
        <source>The times in the file jump ahead by more than {seconds} s ({count} ×); they were joined end to end.</source>
        <translation>تقفز الأوقات في الملف إلى الأمام بأكثر من {seconds} ث (عدد المرات: {count})؛ وُصلت أجزاؤها بعضها ببعض.</translation>
    </message>
    <message>
        <source>{name} has a name, or lies in a folder, whose letters are not UTF-8</source>
        <translation>اسم الملف {name} أو اسم مجلده مكتوب بحروف ليست بترميز UTF-8</translation>
    </message>
    <message>
        <source>Rename it, for example to scan.mp4.</source>
        <translation>غيّر اسمه، مثلًا إلى scan.mp4.</translation>
    </message>
    <message>
        <source>Name the video file inside it.</source>
        <translation>حدد ملف الفيديو الموجود داخله.</translation>
    </message>
    <message>
        <source>{name} is not an ordinary file</source>
        <translation>{name} ليس ملفًا عاديًا</translation>
    </message>
    <message>
        <source>Copy or record the file again.</source>
        <translation>انسخ الملف أو سجّله من جديد.</translation>
    </message>
    <message>
        <source>{name} is empty</source>
        <translation>الملف {name} فارغ</translation>
    </message>
    <message>
        <source>Check the path of the video file.</source>
        <translation>تحقق من مسار ملف الفيديو.</translation>
    </message>
    <message>
        <source>{name} does not exist</source>
        <translation>الملف {name} غير موجود</translation>
    </message>
    <message>
        <source>{name} may not be read</source>
        <translation>لا يُسمح بقراءة الملف {name}</translation>
    </message>
    <message>
        <source>Give your user the right to read the file, or copy it.</source>
        <translation>امنح حسابك إذن قراءة الملف، أو انسخه.</translation>
    </message>
    <message>
        <source>{name} cannot be read ({why})</source>
        <translation>لا يمكن قراءة الملف {name} ({why})</translation>
    </message>
    <message>
        <source>Check the disk, or copy the file elsewhere.</source>
        <translation>تحقق من القرص، أو انسخ الملف إلى مكان آخر.</translation>
    </message>
    <message>
        <source>sound only (WAV)</source>
        <translation>صوت فقط (WAV)</translation>
    </message>
    <message>
        <source>a text file</source>
        <translation>ملف نصي</translation>
    </message>
    <message>
        <source>{name} is {what}, not a video</source>
        <translation>الملف {name} هو {what}، وليس فيديو</translation>
    </message>
    <message>
        <source>Stopped before the end</source>
        <translation>أُوقف القياس قبل نهايته</translation>
    </message>
    <message>
        <source>Nothing was kept; start the scan again.</source>
        <translation>لم يُحفظ شيء؛ ابدأ القياس من جديد.</translation>
    </message>
    <message>
        <source>The source opened but sent no picture</source>
        <translation>فُتح المصدر لكنه لم يرسل أي صورة</translation>
    </message>
    <message>
        <source>Check the cable or the network, close other programs that use the camera, then try again.</source>
        <translation>تحقق من الكابل أو الشبكة، وأغلق البرامج الأخرى التي تستخدم الكاميرا، ثم أعد المحاولة.</translation>
    </message>
    <message>
        <source>The store on this device is damaged, so nothing can be kept or shown from it</source>
        <translation>مخزن البيانات على هذا الجهاز تالف، فلا يمكن حفظ شيء فيه أو عرض شيء منه</translation>
    </message>
    <message>
        <source>Close Health Helper and open it again: it then puts the store together again from its backup. The damaged file is kept.</source>
        <translation>أغلق Health Helper وافتحه من جديد: عندها يعيد تكوين مخزن البيانات من نسخته الاحتياطية. ويُحتفظ بالملف التالف.</translation>
    </message>
    <message>
        <source>The store on this device was locked with another key than the one in this system&apos;s key store</source>
        <translation>مخزن البيانات على هذا الجهاز مقفل بمفتاح غير الموجود في مخزن المفاتيح في هذا النظام</translation>
    </message>
    <message>
        <source>Open it with its recovery key: health-helper recovery-key --restore. Nothing was changed.</source>
        <translation>افتحه بمفتاح الاسترداد الخاص به: health-helper recovery-key --restore. لم يتغير شيء.</translation>
    </message>
    <message>
        <source>The store on this device was written by a newer version of Health Helper</source>
        <translation>كتب مخزن البيانات على هذا الجهاز إصدار أحدث من Health Helper</translation>
    </message>
    <message>
        <source>Install that version again, or a later one. Nothing was changed.</source>
        <translation>ثبّت ذلك الإصدار من جديد، أو إصدارًا أحدث منه. لم يتغير شيء.</translation>
    </message>
    <message>
        <source>The store on this device may not be written to</source>
        <translation>لا يُسمح بالكتابة في مخزن البيانات على هذا الجهاز</translation>
    </message>
    <message>
        <source>Give yourself the right to write in its folder, or free it from another program, and try again.</source>
        <translation>امنح نفسك إذن الكتابة في مجلده، أو حرره من برنامج آخر، ثم أعد المحاولة.</translation>
    </message>
    <message>
        <source>The disk is full, so this was not kept</source>
        <translation>القرص ممتلئ، لذلك لم يُحفظ هذا</translation>
    </message>
    <message>
        <source>Free some space and save again; what was kept before is safe.</source>
        <translation>أفرغ بعض المساحة واحفظ من جديد؛ ما حُفظ سابقًا سليم.</translation>
    </message>
    <message>
        <source>Another program is using the store on this device</source>
        <translation>برنامج آخر يستخدم مخزن البيانات على هذا الجهاز</translation>
    </message>
    <message>
        <source>Close the other window of Health Helper and try again.</source>
        <translation>أغلق نافذة Health Helper الأخرى وأعد المحاولة.</translation>
    </message>
    <message>
        <source>Another program has renewed the store on this device, so this was not kept</source>
        <translation>جدد برنامج آخر مخزن البيانات على هذا الجهاز، لذلك لم يُحفظ هذا</translation>
    </message>
    <message>
        <source>Close Health Helper, open it again and save again.</source>
        <translation>أغلق Health Helper وافتحه من جديد ثم أعد الحفظ.</translation>
    </message>
    <message>
        <source>The store on this device was closed meanwhile, so nothing more can be kept or shown from it</source>
        <translation>أُغلق مخزن هذا الجهاز في أثناء ذلك، فلا يمكن حفظ شيء فيه ولا عرض شيء منه</translation>
    </message>
    <message>
        <source>Open it again and do this once more; what was kept before is safe.</source>
        <translation>افتحه مرة أخرى وأعد ما فعلته؛ ما حُفظ من قبل سليم.</translation>
    </message>
    <message>
        <source>The store on this device could not be read or written ({kind})</source>
        <translation>تعذرت القراءة من مخزن البيانات على هذا الجهاز أو الكتابة فيه ({kind})</translation>
    </message>
    <message>
        <source>Check the disk and the rights of its folder and try again.</source>
        <translation>تحقق من القرص ومن أذونات مجلده وأعد المحاولة.</translation>
    </message>
    <message>
        <source>The library of the encrypted store (sqlcipher3) cannot be loaded</source>
        <translation>لا يمكن تحميل مكتبة مخزن البيانات المشفر (sqlcipher3)</translation>
    </message>
    <message>
        <source>mmHg</source>
        <translation>ملم زئبق</translation>
    </message>
    <message>
        <source>%</source>
        <translation>%</translation>
    </message>
    <message>
        <source>°C</source>
        <translation>°م</translation>
    </message>
    <message>
        <source>kg</source>
        <translation>كغ</translation>
    </message>
    <message>
        <source>This was kept by another version of Health Helper and cannot be shown by this one</source>
        <translation>حُفظ هذا بإصدار آخر من Health Helper ولا يمكن لهذا الإصدار عرضه</translation>
    </message>
    <message>
        <source>This was kept by another version of Health Helper and cannot be sent by this one</source>
        <translation>حُفظ هذا بإصدار آخر من Health Helper ولا يمكن لهذا الإصدار إرساله</translation>
    </message>
    <message>
        <source>Install the newest version; nothing is lost.</source>
        <translation>ثبّت أحدث إصدار؛ لم يُفقد شيء.</translation>
    </message>
    <message>
        <source>This name can&apos;t be used</source>
        <translation>لا يمكن استخدام هذا الاسم</translation>
    </message>
    <message>
        <source>A name needs a letter at least</source>
        <translation>يجب أن يحتوي الاسم على حرف واحد على الأقل</translation>
    </message>
    <message>
        <source>Give one of 1 to {most} letters.</source>
        <translation>اكتب اسمًا عدد حروفه من 1 إلى {most}.</translation>
    </message>
    <message>
        <source>There is already somebody of this name</source>
        <translation>يوجد بالفعل شخص بهذا الاسم</translation>
    </message>
    <message>
        <source>Add an initial or a nickname, so that nothing is saved under the wrong person.</source>
        <translation>أضف حرفًا أول أو لقبًا، حتى لا يُحفظ شيء باسم الشخص الخطأ.</translation>
    </message>
    <message>
        <source>This record number can&apos;t be used</source>
        <translation>لا يمكن استخدام رقم الملف الطبي هذا</translation>
    </message>
    <message>
        <source>Type or scan one of 1 to {most} signs.</source>
        <translation>اكتب رقمًا عدد رموزه من 1 إلى {most}، أو امسحه ضوئيًا.</translation>
    </message>
    <message>
        <source>There is already somebody with this record number</source>
        <translation>يوجد بالفعل شخص له رقم الملف الطبي هذا</translation>
    </message>
    <message>
        <source>Choose that person, or check the number.</source>
        <translation>اختر ذلك الشخص، أو تحقق من الرقم.</translation>
    </message>
    <message>
        <source>This person is not on this device</source>
        <translation>هذا الشخص غير موجود على هذا الجهاز</translation>
    </message>
    <message>
        <source>Choose another one.</source>
        <translation>اختر شخصًا آخر.</translation>
    </message>
    <message>
        <source>The store on this device is missing its database</source>
        <translation>قاعدة بيانات المخزن على هذا الجهاز مفقودة</translation>
    </message>
    <message>
        <source>Put back a backup of its whole folder. To start a new store instead, remove the file {name} from it.</source>
        <translation>استعد نسخة احتياطية من مجلده كله. ولبدء مخزن جديد بدلًا من ذلك، أزل منه الملف {name}.</translation>
    </message>
    <message>
        <source>A new store has been begun. The older one, which could not be opened, is kept as it was in the folder {name}.</source>
        <translation>بُدئ مخزن جديد. والأقدم، الذي تعذّر فتحه، محفوظ كما كان في المجلد {name}.</translation>
    </message>
    <message>
        <source>Nothing is kept on this device yet.</source>
        <translation>لا يوجد شيء محفوظ على هذا الجهاز بعد.</translation>
    </message>
    <message>
        <source>Database: every page is whole.</source>
        <translation>قاعدة البيانات: كل صفحاتها سليمة.</translation>
    </message>
    <message>
        <source>Backups: {number} were damaged and have been removed.</source>
        <translation>النسخ الاحتياطية: عدد التالف منها {number}، وقد أُزيل.</translation>
    </message>
    <message>
        <source>Journal: it was damaged; it has been begun anew.</source>
        <translation>سجل التغييرات: كان تالفًا؛ وقد بُدئ من جديد.</translation>
    </message>
    <message>
        <source>A new backup has been made.</source>
        <translation>أُنشئت نسخة احتياطية جديدة.</translation>
    </message>
    <message>
        <source>Backups and journal: whole.</source>
        <translation>النسخ الاحتياطية وسجل التغييرات: سليمة.</translation>
    </message>
    <message>
        <source>Documents: {number} can&apos;t be read any more: {names}. Add them again.</source>
        <translation>المستندات: عدد ما لم تعد قراءته ممكنة {number}: {names}. أضفها من جديد.</translation>
    </message>
    <message>
        <source>The store was damaged and has been put together again from its backup; nothing is lost. The damaged file is kept as {name}.</source>
        <translation>كان مخزن البيانات تالفًا وأُعيد تكوينه من نسخته الاحتياطية؛ لم يُفقد شيء. يُحتفظ بالملف التالف باسم {name}.</translation>
    </message>
    <message>
        <source>The store was damaged, and so was its backup. What could be read has been put together again; look through what is missing. The damaged file is kept as {name}.</source>
        <translation>كان مخزن البيانات تالفًا، وكذلك نسخته الاحتياطية. أُعيد تكوينه مما أمكنت قراءته؛ راجع ما ينقص. يُحتفظ بالملف التالف باسم {name}.</translation>
    </message>
    <message>
        <source>There is no store with a recovery key in this folder ({names})</source>
        <translation>لا يوجد في هذا المجلد مخزن بيانات له مفتاح استرداد ({names})</translation>
    </message>
    <message>
        <source>Copy the whole folder from the backup or the old computer and try again.</source>
        <translation>انسخ المجلد كله من النسخة الاحتياطية أو من الحاسوب القديم وأعد المحاولة.</translation>
    </message>
    <message>
        <source>an entry that is not ours</source>
        <translation>فيه عنصر ليس من هذا التطبيق</translation>
    </message>
    <message>
        <source>A recovery key has {wanted} letters and digits, and this has {found}</source>
        <translation>عدد حروف مفتاح الاسترداد وأرقامه {wanted}، وعددها هنا {found}</translation>
    </message>
    <message>
        <source>This has signs that are in no recovery key</source>
        <translation>توجد هنا رموز لا ترد في أي مفتاح استرداد</translation>
    </message>
    <message>
        <source>Type it as it is printed, with or without the hyphens.</source>
        <translation>اكتبه كما هو مطبوع، مع الشرطات أو بدونها.</translation>
    </message>
    <message>
        <source>This recovery key has a typing mistake</source>
        <translation>في مفتاح الاسترداد هذا خطأ كتابي</translation>
    </message>
    <message>
        <source>Compare it with the printed one, letter by letter.</source>
        <translation>قارنه بالمطبوع حرفًا حرفًا.</translation>
    </message>
    <message>
        <source>This recovery key does not belong to this store</source>
        <translation>مفتاح الاسترداد هذا لا يخص مخزن البيانات هذا</translation>
    </message>
    <message>
        <source>Look for the one that was printed last when this store was in use.</source>
        <translation>ابحث عن آخر مفتاح طُبع عندما كان هذا المخزن مستخدمًا.</translation>
    </message>
    <message>
        <source>The recovery file was written by another version of Health Helper</source>
        <translation>كُتب ملف الاسترداد بإصدار آخر من Health Helper</translation>
    </message>
    <message>
        <source>Install the newest version and try again.</source>
        <translation>ثبّت أحدث إصدار وأعد المحاولة.</translation>
    </message>
    <message>
        <source>The recovery file beside the store is damaged</source>
        <translation>ملف الاسترداد المجاور لمخزن البيانات تالف</translation>
    </message>
    <message>
        <source>Take it from a backup: without it the recovery key opens nothing.</source>
        <translation>خذه من نسخة احتياطية: فبدونه لا يفتح مفتاح الاسترداد شيئًا.</translation>
    </message>
    <message>
        <source>This system has no key store, so nothing can be kept</source>
        <translation>لا يوجد في هذا النظام مخزن مفاتيح، فلا يمكن حفظ شيء</translation>
    </message>
    <message>
        <source>Start one (GNOME Keyring, KWallet) and try again. You can measure meanwhile and save a copy of the report.</source>
        <translation>شغّل مخزنًا (GNOME Keyring أو KWallet) وأعد المحاولة. يمكنك القياس في هذه الأثناء وحفظ نسخة من التقرير.</translation>
    </message>
    <message>
        <source>The key store of this system is locked, so nothing can be kept</source>
        <translation>مخزن المفاتيح في هذا النظام مقفل، فلا يمكن حفظ شيء</translation>
    </message>
    <message>
        <source>Unlock it (log in to the desktop) and try again. You can measure meanwhile and save a copy of the report.</source>
        <translation>افتح قفله (سجّل الدخول إلى سطح المكتب) وأعد المحاولة. يمكنك القياس في هذه الأثناء وحفظ نسخة من التقرير.</translation>
    </message>
    <message>
        <source>The key store of this system fails ({kind})</source>
        <translation>مخزن المفاتيح في هذا النظام لا يعمل ({kind})</translation>
    </message>
    <message>
        <source>Run &apos;health-helper doctor&apos;. You can measure meanwhile and save a copy of the report.</source>
        <translation>شغّل &apos;health-helper doctor&apos;. يمكنك القياس في هذه الأثناء وحفظ نسخة من التقرير.</translation>
    </message>
    <message>
        <source>it does not give back what it was told</source>
        <translation>لا يعيد ما أُودع فيه</translation>
    </message>
    <message>
        <source>finds the face in a picture</source>
        <translation>لإيجاد الوجه في الصورة</translation>
    </message>
    <message>
        <source>the licence text that must travel with every copy of face_rfb_320</source>
        <translation>نص الترخيص الذي يجب أن يرافق كل نسخة من face_rfb_320</translation>
    </message>
    <message>
        <source>hears whether somebody speaks</source>
        <translation>يسمع ما إذا كان أحد يتكلم</translation>
    </message>
    <message>
        <source>the licence text that must travel with every copy of speech_silero</source>
        <translation>نص الترخيص الذي يجب أن يرافق كل نسخة من speech_silero</translation>
    </message>
    <message>
        <source>the face of the simulated person (demo and tests)</source>
        <translation>وجه الشخص المحاكى (للعرض التجريبي والاختبارات)</translation>
    </message>
    <message>
        <source>the letters of the report, Latin and Arabic</source>
        <translation>حروف التقرير، اللاتينية والعربية</translation>
    </message>
    <message>
        <source>the bold letters of the report, Latin and Arabic</source>
        <translation>حروف التقرير العريضة، اللاتينية والعربية</translation>
    </message>
    <message>
        <source>the licence text that must travel with every copy of the report&apos;s fonts</source>
        <translation>نص الترخيص الذي يجب أن يرافق كل نسخة من خطوط التقرير</translation>
    </message>
    <message>
        <source>The list of weights (MODELS.toml) cannot be read ({kind})</source>
        <translation>لا يمكن قراءة قائمة ملفات النماذج (MODELS.toml) ({kind})</translation>
    </message>
    <message>
        <source>Restore it from the repository or install Health Helper again.</source>
        <translation>استعده من المستودع أو ثبّت Health Helper من جديد.</translation>
    </message>
    <message>
        <source>{name} ({purpose}) is missing</source>
        <translation>الملف {name} ({purpose}) مفقود</translation>
    </message>
    <message>
        <source>{name} ({purpose}) is not the listed one and is refused</source>
        <translation>الملف {name} ({purpose}) ليس هو المذكور في القائمة، لذلك رُفض</translation>
    </message>
    <message>
        <source>{name} ({purpose}) cannot be read</source>
        <translation>لا يمكن قراءة الملف {name} ({purpose})</translation>
    </message>
    <message>
        <source>There is nobody of this name on this device</source>
        <translation>لا يوجد شخص بهذا الاسم على هذا الجهاز</translation>
    </message>
    <message>
        <source>Add them first: health-helper people --add &quot;NAME&quot;.</source>
        <translation>أضف الشخص أولًا: ‎health-helper people --add &quot;NAME&quot;‎.</translation>
    </message>
    <message>
        <source>This has to be confirmed, and nobody can be asked here</source>
        <translation>يجب تأكيد هذا، ولا يمكن سؤال أحد هنا</translation>
    </message>
    <message>
        <source>Run it in a terminal, or add --yes. Everything is as it was before.</source>
        <translation>شغّله في طرفية، أو أضف --yes. كل شيء كما كان من قبل.</translation>
    </message>
    <message>
        <source>Nobody on this device has this record number</source>
        <translation>لا أحد على هذا الجهاز له رقم السجل هذا</translation>
    </message>
    <message>
        <source>Nothing was done. Check the number, and for whom this is.</source>
        <translation>لم يُفعل شيء. تحقق من الرقم ولمن هذا.</translation>
    </message>
    <message>
        <source>This record number belongs to somebody else on this device</source>
        <translation>رقم السجل هذا لشخص آخر على هذا الجهاز</translation>
    </message>
    <message>
        <source>On this computer a person&apos;s record number has to be read back first</source>
        <translation>على هذا الحاسوب يجب أولًا قراءة رقم سجل الشخص</translation>
    </message>
    <message>
        <source>Add --confirm-record-number N, or run it in a terminal. Nothing was done.</source>
        <translation>أضف --confirm-record-number N، أو شغّله في طرفية. لم يُفعل شيء.</translation>
    </message>
    <message>
        <source>Nothing was done</source>
        <translation>لم يُنفذ شيء</translation>
    </message>
    <message>
        <source>Everything is as it was before.</source>
        <translation>كل شيء كما كان من قبل.</translation>
    </message>
    <message>
        <source>This device is not enrolled with a clinic, so nothing can be sent</source>
        <translation>هذا الجهاز غير مسجل لدى أي عيادة، فلا يمكن إرسال شيء</translation>
    </message>
    <message>
        <source>It is not clear whether they agree</source>
        <translation>ليس واضحًا هل يوافق هذا الشخص أم لا</translation>
    </message>
    <message>
        <source>Say yes or no: people --share NAME yes.</source>
        <translation>حدد نعم أو لا: ‎people --share NAME yes‎.</translation>
    </message>
    <message>
        <source>These options do not go together</source>
        <translation>لا يمكن الجمع بين هذه الخيارات</translation>
    </message>
    <message>
        <source>Give one of --add, --rename, --person, --delete, --share, --share-assistant and --send-earlier; --record-number goes with --add and --person, --forever with --delete, --yes with --delete, --share and --share-assistant, --confirm-record-number with --share, --share-assistant and --send-earlier.</source>
        <translation>أعطِ واحدًا من --add و--rename و--person و--delete و--share و--share-assistant و--send-earlier؛ ‏--record-number مع --add و--person، و--forever مع --delete، و--yes مع --delete و--share و--share-assistant، و--confirm-record-number مع --share و--share-assistant و--send-earlier.</translation>
    </message>
    <message>
        <source>This person has not agreed that anything is sent</source>
        <translation>لم يوافق هذا الشخص على إرسال أي شيء</translation>
    </message>
    <message>
        <source>Ask them first: people --share NAME yes.</source>
        <translation>اسأله أولًا: ‎people --share NAME yes‎.</translation>
    </message>
    <message>
        <source>A guest has no record at a clinic, so nothing can be sent to its FHIR server</source>
        <translation>ليس للضيف ملف في عيادة، فلا يمكن إرسال أي شيء إلى خادم FHIR الخاص بها</translation>
    </message>
    <message>
        <source>Say whose it is: --person NAME.</source>
        <translation>اذكر صاحبه: --person NAME.</translation>
    </message>
    <message>
        <source>This person has not agreed that what is kept of them is sent to the clinic</source>
        <translation>لم يوافق هذا الشخص على إرسال ما يُحفظ عنه إلى العيادة</translation>
    </message>
    <message>
        <source>Ask them, then: health-helper people --share NAME yes.</source>
        <translation>اسأله أولًا، ثم: health-helper people --share NAME yes.</translation>
    </message>
    <message>
        <source>--id and --person are two ways to choose a scan</source>
        <translation>الخياران ‎--id و‎--person طريقتان لاختيار القياس</translation>
    </message>
    <message>
        <source>Give one of them.</source>
        <translation>حدد واحدًا منها فقط.</translation>
    </message>
    <message>
        <source>There is no such scan on this device</source>
        <translation>لا يوجد هذا القياس على هذا الجهاز</translation>
    </message>
    <message>
        <source>See &apos;health-helper history --ids&apos; for what is kept.</source>
        <translation>لرؤية المحفوظات شغّل ‎&apos;health-helper history --ids&apos;‎.</translation>
    </message>
    <message>
        <source>The new recovery key is not in force</source>
        <translation>مفتاح الاسترداد الجديد غير سارٍ</translation>
    </message>
    <message>
        <source>Throw it away; an older one stays valid.</source>
        <translation>تخلص منه؛ ويبقى أي مفتاح أقدم صالحًا.</translation>
    </message>
    <message>
        <source>There is no such task, or somebody has looked at it already</source>
        <translation>لا توجد هذه المهمة، أو أن أحدًا قد راجعها بالفعل</translation>
    </message>
    <message>
        <source>See &apos;health-helper tasks list&apos; for those that are open.</source>
        <translation>لرؤية المهام المفتوحة شغّل ‎&apos;health-helper tasks list&apos;‎.</translation>
    </message>
    <message>
        <source>No scan is kept yet</source>
        <translation>لا يوجد قياس محفوظ بعد</translation>
    </message>
    <message>
        <source>Measure first: health-helper scan.</source>
        <translation>قس أولًا: health-helper scan.</translation>
    </message>
    <message>
        <source>{one} and {other} contradict each other</source>
        <translation>الخياران ‎{one} و‎{other} متناقضان</translation>
    </message>
    <message>
        <source>--agree is for a person</source>
        <translation>الخيار ‎--agree مخصص لشخص مسجل بالاسم</translation>
    </message>
    <message>
        <source>Add --person NAME; for a guest there is --share.</source>
        <translation>أضف ‎--person NAME؛ أما للضيف فاستخدم ‎--share.</translation>
    </message>
    <message>
        <source>--seconds {seconds} cannot be measured</source>
        <translation>لا يمكن القياس بالخيار ‎--seconds {seconds}</translation>
    </message>
    <message>
        <source>Give a number from {least} to {most}.</source>
        <translation>اكتب رقمًا من {least} إلى {most}.</translation>
    </message>
    <message>
        <source>{one} and {other}</source>
        <translation>‎{one} و‎{other}</translation>
    </message>
    <message>
        <source>{both} are two sources</source>
        <translation>مصادر مختلفة: {both}</translation>
    </message>
    <message>
        <source>--demo-bpm and --demo-scene are for the demo only</source>
        <translation>الخياران ‎--demo-bpm و‎--demo-scene للعرض التجريبي فقط</translation>
    </message>
    <message>
        <source>Add --demo, or leave them out.</source>
        <translation>أضف ‎--demo، أو احذفهما.</translation>
    </message>
    <message>
        <source>--demo-bpm {rate} is no heart rate that can be simulated</source>
        <translation>لا يمكن محاكاة معدل نبض القلب المحدد بالخيار ‎--demo-bpm {rate}</translation>
    </message>
    <message>
        <source>No camera was found and no other source was named</source>
        <translation>لم يُعثر على كاميرا ولم يُحدد مصدر آخر</translation>
    </message>
    <message>
        <source>Plug in a camera, or use --video FILE, --url URL or --demo.</source>
        <translation>وصّل كاميرا، أو استخدم ‎--video FILE أو ‎--url URL أو ‎--demo.</translation>
    </message>
    <message>
        <source>Install Health Helper again.</source>
        <translation>ثبّت Health Helper من جديد.</translation>
    </message>
    <message>
        <source>Run &apos;make setup&apos; (without make: &apos;python packaging/setup.py setup&apos;) and try again.</source>
        <translation>شغّل &apos;make setup&apos; (إن لم يتوفر make فشغّل: &apos;python packaging/setup.py setup&apos;) ثم أعد المحاولة.</translation>
    </message>
    <message>
        <source>{one}, {other}</source>
        <translation>{one}، {other}</translation>
    </message>
    <message>
        <source>The sound system does not answer</source>
        <translation>نظام الصوت لا يستجيب</translation>
    </message>
    <message>
        <source>Restart it, or this computer, then try again.</source>
        <translation>أعد تشغيله، أو أعد تشغيل هذا الحاسوب، ثم أعد المحاولة.</translation>
    </message>
    <message>
        <source>The library sounddevice can&apos;t be loaded</source>
        <translation>لا يمكن تحميل المكتبة sounddevice</translation>
    </message>
    <message>
        <source>The library PortAudio is missing</source>
        <translation>المكتبة PortAudio غير موجودة</translation>
    </message>
    <message>
        <source>Install it (under Debian and Ubuntu: sudo apt-get install libportaudio2), then try again.</source>
        <translation>ثبّتها (في Debian وUbuntu: sudo apt-get install libportaudio2)، ثم أعد المحاولة.</translation>
    </message>
    <message>
        <source>The sound system can&apos;t be used</source>
        <translation>لا يمكن استخدام نظام الصوت</translation>
    </message>
    <message>
        <source>You may not use the microphone</source>
        <translation>لا يُسمح لك باستخدام الميكروفون</translation>
    </message>
    <message>
        <source>Allow it: sudo usermod -aG audio {user}, then log in again.</source>
        <translation>اسمح بذلك بالأمر: sudo usermod -aG audio {user} ثم سجّل الدخول من جديد.</translation>
    </message>
    <message>
        <source>No microphone was found</source>
        <translation>لم يُعثر على ميكروفون</translation>
    </message>
    <message>
        <source>Plug one in, or switch it on, and try again.</source>
        <translation>وصّل ميكروفونًا أو شغّله، ثم أعد المحاولة.</translation>
    </message>
    <message>
        <source>The system&apos;s own microphone</source>
        <translation>ميكروفون النظام</translation>
    </message>
    <message>
        <source>{name} is not there</source>
        <translation>الميكروفون {name} غير موجود</translation>
    </message>
    <message>
        <source>Plug it in, or choose another microphone.</source>
        <translation>وصّله، أو اختر ميكروفونًا آخر.</translation>
    </message>
    <message>
        <source>{name} is used by another program</source>
        <translation>الميكروفون {name} يستخدمه برنامج آخر</translation>
    </message>
    <message>
        <source>Close that program, or choose the system&apos;s own microphone, which can be shared.</source>
        <translation>أغلق ذلك البرنامج، أو اختر ميكروفون النظام، فهو قابل للاستخدام المشترك.</translation>
    </message>
    <message>
        <source>{name} can&apos;t be opened</source>
        <translation>لا يمكن فتح الميكروفون {name}</translation>
    </message>
    <message>
        <source>Allow this program to use the microphone in the system&apos;s privacy settings, close other programs that use it, then plug it in again.</source>
        <translation>اسمح لهذا البرنامج باستخدام الميكروفون في إعدادات الخصوصية في النظام، وأغلق البرامج الأخرى التي تستخدمه، ثم أعد توصيله.</translation>
    </message>
    <message>
        <source>{name} was unplugged, or the sound system has stopped</source>
        <translation>تم فصل الميكروفون {name}، أو توقف نظام الصوت</translation>
    </message>
    <message>
        <source>Plug it in again, then try again.</source>
        <translation>أعد توصيله، ثم أعد المحاولة.</translation>
    </message>
    <message>
        <source>{name} sends nothing</source>
        <translation>لا يصل شيء من الميكروفون {name}</translation>
    </message>
    <message>
        <source>Plug it out and in again, or restart the sound system, then try again.</source>
        <translation>افصله ووصّله من جديد، أو أعد تشغيل نظام الصوت، ثم أعد المحاولة.</translation>
    </message>
    <message>
        <source>Microphone</source>
        <translation>الميكروفون</translation>
    </message>
    <message>
        <source>Try it</source>
        <translation>تجربته</translation>
    </message>
    <message>
        <source>The assistant listens with it, when somebody has it listen. Here only this try does; nothing of it is recorded or sent.</source>
        <translation>يستمع المساعد من خلاله عندما يطلب منه أحد الاستماع. هنا تستخدمه هذه التجربة فقط؛ ولا يُسجَّل منها شيء ولا يُرسل.</translation>
    </message>
    <message>
        <source>The microphone is being opened …</source>
        <translation>جارٍ فتح الميكروفون …</translation>
    </message>
    <message>
        <source>Stop</source>
        <translation>إيقاف</translation>
    </message>
    <message>
        <source>No microphone was found. Plug one in and open this page again.</source>
        <translation>لم يُعثر على ميكروفون. وصّل ميكروفونًا وافتح هذه الصفحة من جديد.</translation>
    </message>
    <message>
        <source>The try has ended by itself after a minute.</source>
        <translation>انتهت التجربة تلقائيًا بعد دقيقة.</translation>
    </message>
    <message>
        <source>The microphone gives only silence. Switch it on (a key or a switch at it), raise its level in the system&apos;s sound settings, and allow this program to use it there.</source>
        <translation>لا يصل من الميكروفون إلا صمت. شغّله (بزر أو مفتاح عليه)، وارفع مستواه في إعدادات الصوت في النظام، واسمح لهذا البرنامج باستخدامه هناك.</translation>
    </message>
    <message>
        <source>Hardly anything is heard. Speak; if that changes nothing, raise its level in the system&apos;s sound settings.</source>
        <translation>لا يكاد يُسمع شيء. تكلم؛ وإن لم يتغير شيء، فارفع مستواه في إعدادات الصوت في النظام.</translation>
    </message>
    <message>
        <source>Something is heard. If that is your voice, it works.</source>
        <translation>يُسمع صوت. إن كان هذا صوتك، فالميكروفون يعمل.</translation>
    </message>
    <message>
        <source>Too loud. Lower its level in the system&apos;s sound settings, or move it away.</source>
        <translation>الصوت عالٍ جدًا. اخفض مستواه في إعدادات الصوت في النظام، أو أبعده.</translation>
    </message>
    <message>
        <source>{level} dB</source>
        <translation>‎{level} dB</translation>
    </message>
    <message>
        <source>The system&apos;s own</source>
        <translation>ميكروفون النظام</translation>
    </message>
    <message>
        <source>{name} (not there now)</source>
        <translation>{name} (غير موجود الآن)</translation>
    </message>
    <message>
        <source>Level of the microphone</source>
        <translation>مستوى الميكروفون</translation>
    </message>
    <message>
        <source>The header speaks of {listed} s, its table of frames of {timed} s: the frame rate in the file cannot be trusted.</source>
        <translation>المدة بحسب الترويسة {listed} ث، وبحسب جدول الإطارات {timed} ث: لا يمكن الوثوق بمعدل الإطارات في الملف.</translation>
    </message>
    <message>
        <source>The header lists {frames} frames in {timed} s and has {shown} s of them shown: the file was cut or re-timed after it was recorded, so its frame rate cannot be trusted.</source>
        <translation>عدد الإطارات بحسب الترويسة {frames} في {timed} ث، ويُعرض منها {shown} ث: قُطع الملف أو غُيرت أوقاته بعد تسجيله، فلا يمكن الوثوق بمعدل إطاراته.</translation>
    </message>
    <message>
        <source>The server&apos;s answer cannot be read</source>
        <translation>تعذّرت قراءة رد الخادم</translation>
    </message>
    <message>
        <source>Try again later. If this stays, install the newest version, or ask whoever looks after the server.</source>
        <translation>حاول مرة أخرى لاحقًا. إذا استمر ذلك، فثبّت أحدث إصدار أو اسأل المسؤول عن الخادم.</translation>
    </message>
    <message>
        <source>s</source>
        <translation>ث</translation>
    </message>
    <message>
        <source>--share is for a guest</source>
        <translation>الخيار ‎--share مخصص للضيف</translation>
    </message>
    <message>
        <source>A person agrees with: people --share NAME yes.</source>
        <translation>يوافق الشخص بالأمر: ‎people --share NAME yes‎.</translation>
    </message>
    <message>
        <source>There is no such file on this device</source>
        <translation>لا يوجد هذا الملف على هذا الجهاز</translation>
    </message>
    <message>
        <source>See &apos;health-helper documents list&apos; for what is kept.</source>
        <translation>لرؤية المحفوظات شغّل ‎&apos;health-helper documents list&apos;‎.</translation>
    </message>
    <message>
        <source>Either a code or --leave is needed</source>
        <translation>يلزم رمز أو الخيار ‎--leave</translation>
    </message>
    <message>
        <source>Ask the clinic&apos;s administrator for a code: health-helper enrol CODE.</source>
        <translation>اطلب من مسؤول العيادة رمزًا: ‎health-helper enrol CODE‎.</translation>
    </message>
    <message>
        <source>No Health Helper server answers at this address</source>
        <translation>لا يجيب أي خادم لـ Health Helper على هذا العنوان</translation>
    </message>
    <message>
        <source>Check the address, also what comes after the server&apos;s name: type it as the clinic&apos;s administrator gave it. The code was not used up.</source>
        <translation>تحقق من العنوان، ومما يأتي بعد اسم الخادم أيضًا: اكتبه كما أعطاه مسؤول العيادة. لم يُستهلك الرمز.</translation>
    </message>
    <message>
        <source>The server&apos;s address is missing</source>
        <translation>عنوان الخادم ناقص</translation>
    </message>
    <message>
        <source>Ask the clinic&apos;s administrator for it; it begins with https://.</source>
        <translation>اطلبه من مسؤول العيادة؛ ويبدأ بـ https://‎.</translation>
    </message>
    <message>
        <source>This computer may only be enrolled with another server</source>
        <translation>لا يجوز تسجيل هذا الحاسوب إلا لدى خادم آخر</translation>
    </message>
    <message>
        <source>Leave the address out, or ask whoever manages this computer.</source>
        <translation>احذف العنوان، أو اسأل المسؤول عن هذا الحاسوب.</translation>
    </message>
    <message>
        <source>The server&apos;s address is none that can be used</source>
        <translation>عنوان الخادم هذا لا يمكن استخدامه</translation>
    </message>
    <message>
        <source>Type it as the clinic&apos;s administrator gave it; it begins with https://.</source>
        <translation>اكتبه كما أعطاه مسؤول العيادة؛ ويبدأ بـ https://‎.</translation>
    </message>
    <message>
        <source>This computer has no connection to a network</source>
        <translation>هذا الحاسوب غير متصل بأي شبكة</translation>
    </message>
    <message>
        <source>Plug the network in or switch it on. What waits is sent by itself then.</source>
        <translation>وصّل الشبكة أو شغّلها. عندها يُرسل ما هو قيد الانتظار تلقائيًا.</translation>
    </message>
    <message>
        <source>Nobody in this network knows the name of the server ({host})</source>
        <translation>اسم الخادم غير معروف في هذه الشبكة ({host})</translation>
    </message>
    <message>
        <source>Check the network and, if it works otherwise, the server&apos;s address.</source>
        <translation>تحقق من الشبكة، وإن كانت تعمل في ما عدا ذلك فتحقق من عنوان الخادم.</translation>
    </message>
    <message>
        <source>{host} refuses the connection</source>
        <translation>يرفض {host} الاتصال</translation>
    </message>
    <message>
        <source>It is tried again by itself. If this stays, ask whoever looks after the server or the firewall.</source>
        <translation>تُعاد المحاولة تلقائيًا. إذا استمر ذلك، فاسأل المسؤول عن الخادم أو عن جدار الحماية.</translation>
    </message>
    <message>
        <source>The connection to the server broke off</source>
        <translation>انقطع الاتصال بالخادم</translation>
    </message>
    <message>
        <source>It is tried again by itself. If this stays, ask whoever looks after the network.</source>
        <translation>تُعاد المحاولة تلقائيًا. إذا استمر ذلك، فاسأل المسؤول عن الشبكة.</translation>
    </message>
    <message>
        <source>There is no way from this network to the server ({host})</source>
        <translation>لا يمكن الوصول من هذه الشبكة إلى الخادم ({host})</translation>
    </message>
    <message>
        <source>It is tried again by itself. If this stays, use another network or ask whoever looks after this one.</source>
        <translation>تُعاد المحاولة تلقائيًا. إذا استمر ذلك، فاستخدم شبكة أخرى أو اسأل المسؤول عن هذه الشبكة.</translation>
    </message>
    <message>
        <source>No secure connection to the server can be made in this network</source>
        <translation>لا يمكن إنشاء اتصال آمن بالخادم في هذه الشبكة</translation>
    </message>
    <message>
        <source>Nothing was sent. Open a web page and log in there if the network asks for it, or use another network.</source>
        <translation>لم يُرسل شيء. افتح صفحة ويب وسجّل الدخول فيها إن طلبت الشبكة ذلك، أو استخدم شبكة أخرى.</translation>
    </message>
    <message>
        <source>The certificate shown for the server is not trusted by this computer</source>
        <translation>الشهادة المقدمة على أنها شهادة الخادم لا يثق بها هذا الحاسوب</translation>
    </message>
    <message>
        <source>The certificate shown for the server is by {issuer}, whom this computer does not trust</source>
        <translation>الشهادة المقدمة على أنها شهادة الخادم صادرة عن {issuer}، وهي جهة لا يثق بها هذا الحاسوب</translation>
    </message>
    <message>
        <source>Nothing was sent. If this network is meant to open what is encrypted, ask whoever manages this computer to install the network&apos;s certificate; else use another network.</source>
        <translation>لم يُرسل شيء. إن كان من المقصود أن تفتح هذه الشبكة الاتصالات المشفرة، فاطلب من المسؤول عن هذا الحاسوب تثبيت شهادة الشبكة؛ وإلا فاستخدم شبكة أخرى.</translation>
    </message>
    <message>
        <source>The certificate shown is for another server than {host}</source>
        <translation>الشهادة المقدمة لخادم آخر غير {host}</translation>
    </message>
    <message>
        <source>Nothing was sent. Open a web page in this network and log in there if it asks; else check the server&apos;s address.</source>
        <translation>لم يُرسل شيء. افتح صفحة ويب في هذه الشبكة وسجّل الدخول فيها إن طُلب ذلك؛ وإلا فتحقق من عنوان الخادم.</translation>
    </message>
    <message>
        <source>The server&apos;s certificate has expired, if it is {date} as this computer says</source>
        <translation>انتهت صلاحية شهادة الخادم، إن كان التاريخ ‎{date}‎ كما يذكر هذا الحاسوب</translation>
    </message>
    <message>
        <source>Check the date and time of this computer. If they are right, tell whoever looks after the server.</source>
        <translation>تحقق من تاريخ هذا الحاسوب ووقته. وإن كانا صحيحين، فأبلغ المسؤول عن الخادم.</translation>
    </message>
    <message>
        <source>The certificates that this computer&apos;s policy names cannot be read</source>
        <translation>لا يمكن قراءة الشهادات المذكورة في سياسة هذا الحاسوب</translation>
    </message>
    <message>
        <source>Ask whoever manages this computer to correct the file {file}.</source>
        <translation>اطلب من المسؤول عن هذا الحاسوب تصحيح الملف ‎{file}‎.</translation>
    </message>
    <message>
        <source>The clock of this computer is wrong (it says {date})</source>
        <translation>ساعة هذا الحاسوب خاطئة (تشير إلى ‎{date}‎)</translation>
    </message>
    <message>
        <source>Set the date and time of this computer; best let the system set them by itself.</source>
        <translation>اضبط تاريخ هذا الحاسوب ووقته؛ والأفضل أن تدع النظام يضبطهما تلقائيًا.</translation>
    </message>
    <message>
        <source>This network answers instead of the server, as one does that wants a login first</source>
        <translation>ترد هذه الشبكة بدلًا من الخادم، كما تفعل شبكة تطلب تسجيل الدخول أولًا</translation>
    </message>
    <message>
        <source>Open a web page in a browser and log in there, or use another network.</source>
        <translation>افتح صفحة ويب في متصفح وسجّل الدخول فيها، أو استخدم شبكة أخرى.</translation>
    </message>
    <message>
        <source>The proxy of this network cannot be reached</source>
        <translation>لا يمكن الوصول إلى الخادم الوكيل في هذه الشبكة</translation>
    </message>
    <message>
        <source>The proxy of this network wants a login (407)</source>
        <translation>يطلب الخادم الوكيل في هذه الشبكة تسجيل الدخول (407)</translation>
    </message>
    <message>
        <source>The proxy of this network does not let the connection pass ({status})</source>
        <translation>لا يسمح الخادم الوكيل في هذه الشبكة بمرور الاتصال ({status})</translation>
    </message>
    <message>
        <source>Ask whoever manages the network to let this computer reach the server through it.</source>
        <translation>اطلب من المسؤول عن الشبكة السماح لهذا الحاسوب بالوصول إلى الخادم عبر الخادم الوكيل.</translation>
    </message>
    <message>
        <source>The proxy that is set for this computer cannot be used</source>
        <translation>لا يمكن استخدام الخادم الوكيل المحدد لهذا الحاسوب</translation>
    </message>
    <message>
        <source>Ask whoever manages this computer to set one that begins with http:// or https://.</source>
        <translation>اطلب من المسؤول عن هذا الحاسوب تحديد خادم وكيل يبدأ عنوانه بـ http://‎ أو https://‎.</translation>
    </message>
    <message>
        <source>The server cannot be reached in time</source>
        <translation>تعذر الوصول إلى الخادم في الوقت المحدد</translation>
    </message>
    <message>
        <source>The network is too slow or takes nothing any more</source>
        <translation>الشبكة بطيئة جدًا أو لم تعد تقبل شيئًا</translation>
    </message>
    <message>
        <source>The server does not answer in time</source>
        <translation>لا يرد الخادم في الوقت المحدد</translation>
    </message>
    <message>
        <source>The server&apos;s answer takes too long</source>
        <translation>يستغرق رد الخادم وقتًا طويلًا جدًا</translation>
    </message>
    <message>
        <source>It is tried again by itself. If this stays, check the network.</source>
        <translation>تُعاد المحاولة تلقائيًا. إذا استمر ذلك، فتحقق من الشبكة.</translation>
    </message>
    <message>
        <source>Sending was ended</source>
        <translation>أُنهي الإرسال</translation>
    </message>
    <message>
        <source>What waits is sent when the program runs again.</source>
        <translation>ما هو قيد الانتظار يُرسل عندما يعمل البرنامج من جديد.</translation>
    </message>
    <message>
        <source>The server cannot do this at the moment ({status})</source>
        <translation>لا يستطيع الخادم فعل ذلك في الوقت الحالي ({status})</translation>
    </message>
    <message>
        <source>It is tried again by itself. If this stays, tell whoever looks after the server.</source>
        <translation>تُعاد المحاولة تلقائيًا. إذا استمر ذلك، فأبلغ المسؤول عن الخادم.</translation>
    </message>
    <message>
        <source>The server takes no more at the moment</source>
        <translation>لا يقبل الخادم المزيد في الوقت الحالي</translation>
    </message>
    <message>
        <source>It is tried again by itself after a while.</source>
        <translation>تُعاد المحاولة تلقائيًا بعد قليل.</translation>
    </message>
    <message>
        <source>This clinic has used what it may use this month</source>
        <translation>استنفدت هذه العيادة ما يحق لها استخدامه هذا الشهر</translation>
    </message>
    <message>
        <source>Wait until next month, or ask whoever manages the service for more.</source>
        <translation>انتظر حتى الشهر القادم، أو اطلب المزيد من المسؤول عن الخدمة.</translation>
    </message>
    <message>
        <source>Ask the clinic&apos;s administrator for a code and enrol this device.</source>
        <translation>اطلب من مسؤول العيادة رمزًا وسجّل هذا الجهاز.</translation>
    </message>
    <message>
        <source>The clinic has ended the enrolment of this device</source>
        <translation>أنهت العيادة تسجيل هذا الجهاز</translation>
    </message>
    <message>
        <source>What is measured stays on this device. Ask the clinic&apos;s administrator for a new code and enrol it anew.</source>
        <translation>ما يُقاس يبقى على هذا الجهاز. اطلب من مسؤول العيادة رمزًا جديدًا وسجّله من جديد.</translation>
    </message>
    <message>
        <source>The server does not accept this device&apos;s sign-in any more</source>
        <translation>لم يعد الخادم يقبل بيانات دخول هذا الجهاز</translation>
    </message>
    <message>
        <source>The code is mistyped</source>
        <translation>في الرمز خطأ كتابي</translation>
    </message>
    <message>
        <source>Type its twelve letters and digits as they are shown; it has no 0, O, 1, I and L.</source>
        <translation>اكتب حروفه وأرقامه الاثني عشر كما هي معروضة؛ وليس فيها 0 وO و1 وI وL.</translation>
    </message>
    <message>
        <source>The code is mistyped, was used already, or is older than ten minutes</source>
        <translation>في الرمز خطأ كتابي، أو أنه استُخدم من قبل، أو مضى عليه أكثر من عشر دقائق</translation>
    </message>
    <message>
        <source>Check it, or ask the clinic&apos;s administrator for a new one.</source>
        <translation>تحقق منه، أو اطلب من مسؤول العيادة رمزًا جديدًا.</translation>
    </message>
    <message>
        <source>The code was sent, but the server&apos;s answer was lost on its way</source>
        <translation>أُرسل الرمز، لكن رد الخادم ضاع في الطريق</translation>
    </message>
    <message>
        <source>Try the same code once more. If it is refused, ask the clinic&apos;s administrator for a new one, and to remove the device that never came.</source>
        <translation>جرّب الرمز نفسه مرة أخرى. وإن رُفض، فاطلب من مسؤول العيادة رمزًا جديدًا، وأن يزيل الجهاز الذي لم يكتمل تسجيله.</translation>
    </message>
    <message>
        <source>The server does not take this ({status})</source>
        <translation>لا يقبل الخادم هذا ({status})</translation>
    </message>
    <message>
        <source>Install the newest version. If this stays, tell whoever looks after the server.</source>
        <translation>ثبّت أحدث إصدار. إذا استمر ذلك، فأبلغ المسؤول عن الخادم.</translation>
    </message>
    <message>
        <source>The data of this person were erased at the server, which takes no more of them</source>
        <translation>مُحيت بيانات هذا الشخص لدى الخادم، ولم يعد يقبل المزيد منها</translation>
    </message>
    <message>
        <source>What is kept on this device stays here until it is deleted.</source>
        <translation>ما هو محفوظ على هذا الجهاز يبقى هنا إلى أن يُحذف.</translation>
    </message>
    <message>
        <source>The time to send this file was over</source>
        <translation>انتهت المدة المخصصة لإرسال هذا الملف</translation>
    </message>
    <message>
        <source>It is tried again by itself.</source>
        <translation>تُعاد المحاولة تلقائيًا.</translation>
    </message>
    <message>
        <source>This is no token of a FHIR server</source>
        <translation>هذا ليس رمز وصول لخادم FHIR</translation>
    </message>
    <message>
        <source>Copy it again as whoever looks after the server gave it: one line of letters and signs.</source>
        <translation>انسخه من جديد كما أعطاه المسؤول عن الخادم: سطر واحد من الحروف والرموز.</translation>
    </message>
    <message>
        <source>Adding was cancelled</source>
        <translation>أُلغيت الإضافة</translation>
    </message>
    <message>
        <source>Nothing of it was kept. Add it again if you like.</source>
        <translation>لم يُحفظ منه شيء. أضفه من جديد إن أردت.</translation>
    </message>
    <message>
        <source>Document</source>
        <translation>مستند</translation>
    </message>
    <message>
        <source>It was made smaller, so that it can be sent. Its text should still be legible: look at it.</source>
        <translation>جرى تصغيره حتى يمكن إرساله. ينبغي أن يبقى نصه مقروءًا: تحقق منه.</translation>
    </message>
    <message>
        <source>It was too large as PNG and is kept as JPEG.</source>
        <translation>كان كبيرًا جدًا بصيغة PNG، فحُفظ بصيغة JPEG.</translation>
    </message>
    <message>
        <source>{name} is no name of a file</source>
        <translation>{name} ليس اسم ملف</translation>
    </message>
    <message>
        <source>Choose a file.</source>
        <translation>اختر ملفًا.</translation>
    </message>
    <message>
        <source>{name} has {size} MB; at most {limit} MB are taken</source>
        <translation>حجم الملف {name} هو {size} ميغابايت؛ والحد الأقصى المقبول {limit} ميغابايت</translation>
    </message>
    <message>
        <source>Save it smaller, or hand in the pages that matter.</source>
        <translation>احفظه بحجم أصغر، أو قدّم الصفحات المهمة فقط.</translation>
    </message>
    <message>
        <source>{name} changed while it was read</source>
        <translation>تغير الملف {name} أثناء قراءته</translation>
    </message>
    <message>
        <source>Wait until it is written completely, and add it again.</source>
        <translation>انتظر حتى تكتمل كتابته، ثم أضفه من جديد.</translation>
    </message>
    <message>
        <source>Choose the files that are in it.</source>
        <translation>اختر الملفات الموجودة فيه.</translation>
    </message>
    <message>
        <source>{name} is no file but a device or a connection</source>
        <translation>{name} ليس ملفًا بل جهاز أو اتصال</translation>
    </message>
    <message>
        <source>Check its name and whether its disk is connected.</source>
        <translation>تحقق من اسمه ومن أن قرصه موصول.</translation>
    </message>
    <message>
        <source>Ask whoever it belongs to, or copy it to a folder of yours.</source>
        <translation>اسأل صاحبه، أو انسخه إلى مجلد خاص بك.</translation>
    </message>
    <message>
        <source>{name} could not be read ({why})</source>
        <translation>تعذرت قراءة الملف {name} ({why})</translation>
    </message>
    <message>
        <source>Check its disk or connection and try again.</source>
        <translation>تحقق من قرصه أو من الاتصال وأعد المحاولة.</translation>
    </message>
    <message>
        <source>The part of this program that looks into files could not be started</source>
        <translation>تعذر تشغيل الجزء الذي يفحص الملفات من هذا البرنامج</translation>
    </message>
    <message>
        <source>Close other programs and try again; if that does not help, install Health Helper again.</source>
        <translation>أغلق البرامج الأخرى وأعد المحاولة؛ وإن لم يُجدِ ذلك، فثبّت Health Helper من جديد.</translation>
    </message>
    <message>
        <source>{name} could not be written ({why})</source>
        <translation>تعذرت كتابة الملف {name} ({why})</translation>
    </message>
    <message>
        <source>Choose another folder, or make room on its disk.</source>
        <translation>اختر مجلدًا آخر، أو أفرغ بعض المساحة على قرصه.</translation>
    </message>
    <message>
        <source>Open it in a picture program, save it as JPEG or PNG, and hand that in.</source>
        <translation>افتحه في برنامج صور، واحفظه بصيغة JPEG أو PNG، ثم قدّم ذلك الملف.</translation>
    </message>
    <message>
        <source>Open it in its program, save or print it as PDF, and hand that in.</source>
        <translation>افتحه في برنامجه، واحفظه أو اطبعه بصيغة PDF، ثم قدّم ذلك الملف.</translation>
    </message>
    <message>
        <source>Hand in a PDF, a JPEG or a PNG.</source>
        <translation>قدّم ملف PDF أو JPEG أو PNG.</translation>
    </message>
    <message>
        <source>a GIF picture</source>
        <translation>صورة GIF</translation>
    </message>
    <message>
        <source>a TIFF picture</source>
        <translation>صورة TIFF</translation>
    </message>
    <message>
        <source>a BMP picture</source>
        <translation>صورة BMP</translation>
    </message>
    <message>
        <source>a JPEG XL picture</source>
        <translation>صورة JPEG XL</translation>
    </message>
    <message>
        <source>a JPEG 2000 picture</source>
        <translation>صورة JPEG 2000</translation>
    </message>
    <message>
        <source>an office document (Word, Excel …)</source>
        <translation>مستند مكتبي (Word أو Excel …)</translation>
    </message>
    <message>
        <source>a text document (RTF)</source>
        <translation>مستند نصي (RTF)</translation>
    </message>
    <message>
        <source>a ZIP archive</source>
        <translation>أرشيف ZIP</translation>
    </message>
    <message>
        <source>Unpack it and hand in the files that are in it.</source>
        <translation>فك ضغطه وقدّم الملفات الموجودة فيه.</translation>
    </message>
    <message>
        <source>an archive</source>
        <translation>أرشيف</translation>
    </message>
    <message>
        <source>a program</source>
        <translation>برنامج</translation>
    </message>
    <message>
        <source>a PostScript document</source>
        <translation>مستند PostScript</translation>
    </message>
    <message>
        <source>Copy it again from where you have it.</source>
        <translation>انسخه من جديد من حيث هو عندك.</translation>
    </message>
    <message>
        <source>{name} is no PDF, JPEG or PNG but {what}</source>
        <translation>الملف {name} ليس PDF ولا JPEG ولا PNG بل {what}</translation>
    </message>
    <message>
        <source>{name} is no PDF, JPEG or PNG</source>
        <translation>الملف {name} ليس PDF ولا JPEG ولا PNG</translation>
    </message>
    <message>
        <source>a HEIC picture, as iPhones make them</source>
        <translation>صورة HEIC، كالتي تلتقطها أجهزة iPhone</translation>
    </message>
    <message>
        <source>an AVIF picture</source>
        <translation>صورة AVIF</translation>
    </message>
    <message>
        <source>a video</source>
        <translation>فيديو</translation>
    </message>
    <message>
        <source>a WebP picture</source>
        <translation>صورة WebP</translation>
    </message>
    <message>
        <source>a medical picture (DICOM)</source>
        <translation>صورة طبية (DICOM)</translation>
    </message>
    <message>
        <source>something else in front of a PDF</source>
        <translation>ملف PDF يسبقه شيء آخر</translation>
    </message>
    <message>
        <source>text</source>
        <translation>نص</translation>
    </message>
    <message>
        <source>This page cannot be shown</source>
        <translation>لا يمكن عرض هذه الصفحة</translation>
    </message>
    <message>
        <source>Save a copy and open it in another program.</source>
        <translation>احفظ نسخة وافتحها في برنامج آخر.</translation>
    </message>
    <message>
        <source>Open it where you have it from, print it into a new PDF, and hand that in.</source>
        <translation>افتحه حيث هو عندك، واطبعه في ملف PDF جديد، ثم قدّم ذلك الملف.</translation>
    </message>
    <message>
        <source>Open it in another program, save or print it anew, and hand that in.</source>
        <translation>افتحه في برنامج آخر، واحفظه أو اطبعه من جديد، ثم قدّم ذلك الملف.</translation>
    </message>
    <message>
        <source>{name} is damaged or cut off</source>
        <translation>الملف {name} تالف أو مقطوع</translation>
    </message>
    <message>
        <source>Copy it again from where you have it, or save it anew.</source>
        <translation>انسخه من جديد من حيث هو عندك، أو احفظه من جديد.</translation>
    </message>
    <message>
        <source>{name} is of a rare kind that is not read here</source>
        <translation>الملف {name} من نوع نادر لا يُقرأ هنا</translation>
    </message>
    <message>
        <source>Open it in another program and save it as an ordinary PNG or JPEG.</source>
        <translation>افتحه في برنامج آخر واحفظه بصيغة PNG أو JPEG عادية.</translation>
    </message>
    <message>
        <source>{name} has something behind its end</source>
        <translation>في الملف {name} شيء بعد نهايته</translation>
    </message>
    <message>
        <source>{name} has another kind of file inside it</source>
        <translation>في داخل الملف {name} ملف من نوع آخر</translation>
    </message>
    <message>
        <source>{name} is locked with a password or against changes</source>
        <translation>الملف {name} محمي بكلمة مرور أو مقفل ضد التعديل</translation>
    </message>
    <message>
        <source>Open it with its password, save or print it without one, and hand that in.</source>
        <translation>افتحه بكلمة مروره، واحفظه أو اطبعه بدونها، ثم قدّم ذلك الملف.</translation>
    </message>
    <message>
        <source>{name} would do something when it is opened: a script, a program, a form that sends, or a file within it</source>
        <translation>ينفذ الملف {name} شيئًا عند فتحه: نص برمجي، أو برنامج، أو نموذج يرسل بيانات، أو ملف في داخله</translation>
    </message>
    <message>
        <source>{name} grows beyond measure when it is unpacked</source>
        <translation>يتضخم الملف {name} بلا حد عند فك ضغطه</translation>
    </message>
    <message>
        <source>{name} is too complicated to be looked at safely</source>
        <translation>الملف {name} أعقد من أن يُفحص بأمان</translation>
    </message>
    <message>
        <source>{name} has more than {pages} pages</source>
        <translation>في الملف {name} أكثر من {pages} صفحة</translation>
    </message>
    <message>
        <source>Hand in the pages that matter, in several files.</source>
        <translation>قدّم الصفحات المهمة في عدة ملفات.</translation>
    </message>
    <message>
        <source>{name} has more than {pixels} million pixels</source>
        <translation>في الملف {name} أكثر من {pixels} مليون بكسل</translation>
    </message>
    <message>
        <source>Make it smaller in a picture program, or photograph it again at a lower resolution.</source>
        <translation>صغّره في برنامج صور، أو صوّره من جديد بدقة أقل.</translation>
    </message>
    <message>
        <source>Report of a scan</source>
        <translation>تقرير قياس</translation>
    </message>
    <message>
        <source>Clinic: {clinic}, at {server}.</source>
        <translation>العيادة: {clinic}، على {server}.</translation>
    </message>
    <message>
        <source>May what is kept of {name} be sent to the clinic at {clinic}?</source>
        <translation>هل يجوز إرسال ما هو محفوظ باسم {name} إلى العيادة (‎{clinic}‎)؟</translation>
    </message>
    <message>
        <source>May this also be sent to the clinic at {clinic}?</source>
        <translation>هل يجوز إرسال هذا أيضًا إلى العيادة (‎{clinic}‎)؟</translation>
    </message>
    <message>
        <source>What is sent: the measured or typed-in numbers with their intervals, or the reasons why a number is not shown; when and how long was measured; and files that you add yourself.</source>
        <translation>ما يُرسل: الأرقام المقيسة أو المُدخلة يدويًا مع مجالاتها، أو أسباب عدم عرض رقم ما؛ ووقت القياس ومدته؛ والملفات التي تضيفها بنفسك.</translation>
    </message>
    <message>
        <source>What is never sent: your name, your record number, and what the camera sees in a scan.</source>
        <translation>ما لا يُرسل أبدًا: اسمك ورقم ملفك الطبي وما تراه الكاميرا أثناء القياس.</translation>
    </message>
    <message>
        <source>It is sent encrypted. You can take this back at any time: Settings, “Sharing…”.</source>
        <translation>يُرسل مشفرًا. يمكنك سحب موافقتك في أي وقت: الإعدادات، «مشاركة البيانات…».</translation>
    </message>
    <message>
        <source>It is sent encrypted, under a new random number. A guest is asked each time.</source>
        <translation>يُرسل مشفرًا، تحت رقم عشوائي جديد. ويُسأل الضيف في كل مرة.</translation>
    </message>
    <message>
        <source>What may be an emergency is noticed on this device in any case. You can take this back at any time: at the assistant, “What is sent…”, or in the settings, “Sharing…”.</source>
        <translation>ما قد يكون حالة طارئة يُنتبه إليه على هذا الجهاز في كل الأحوال. يمكنك سحب موافقتك في أي وقت: عند المساعد، «ما الذي يُرسل…»، أو في الإعدادات، «مشاركة البيانات…».</translation>
    </message>
    <message>
        <source>The key store of this system is locked, so nothing can be sent</source>
        <translation>مخزن المفاتيح في هذا النظام مقفل، فلا يمكن إرسال أي شيء</translation>
    </message>
    <message>
        <source>Unlock it (log in to the desktop). What is measured is kept, and sent by itself then.</source>
        <translation>افتحه (سجّل الدخول إلى سطح المكتب). ما يُقاس يُحفظ، ثم يُرسل تلقائيًا.</translation>
    </message>
    <message>
        <source>This system has no key store, so nothing can be sent</source>
        <translation>لا يوجد مخزن مفاتيح في هذا النظام، فلا يمكن إرسال أي شيء</translation>
    </message>
    <message>
        <source>Start one (GNOME Keyring, KWallet). What is measured is kept, and sent by itself then.</source>
        <translation>شغّل واحدًا (GNOME Keyring أو KWallet). ما يُقاس يُحفظ، ثم يُرسل تلقائيًا.</translation>
    </message>
    <message>
        <source>The disk is full, so nothing can be sent</source>
        <translation>القرص ممتلئ، فلا يمكن إرسال أي شيء</translation>
    </message>
    <message>
        <source>Free some space. What was kept is safe, and is sent by itself then.</source>
        <translation>أفرغ بعض المساحة. ما حُفظ في أمان، ثم يُرسل تلقائيًا.</translation>
    </message>
    <message>
        <source>Another program has renewed the store on this device, so nothing can be sent from here</source>
        <translation>جدّد برنامج آخر المخزن على هذا الجهاز، فلا يمكن إرسال أي شيء من هنا</translation>
    </message>
    <message>
        <source>Close Health Helper and open it again. What was kept is safe, and is sent then.</source>
        <translation>أغلق Health Helper وافتحه من جديد. ما حُفظ في أمان، ثم يُرسل.</translation>
    </message>
    <message>
        <source>Sending has failed, by a bug of Health Helper&apos;s own</source>
        <translation>تعذر الإرسال بسبب خطأ داخلي في Health Helper</translation>
    </message>
    <message>
        <source>Nothing is lost. It is tried again by itself; install the newest version if this stays.</source>
        <translation>لم يُفقد شيء. تُعاد المحاولة تلقائيًا؛ ثبّت أحدث إصدار إذا استمر ذلك.</translation>
    </message>
    <message>
        <source>The policy of this computer can be changed by everybody who uses it</source>
        <translation>يستطيع كل من يستخدم هذا الحاسوب تغيير سياسته</translation>
    </message>
    <message>
        <source>The policy of this computer cannot be read ({kind})</source>
        <translation>لا يمكن قراءة سياسة هذا الحاسوب ({kind})</translation>
    </message>
    <message>
        <source>The policy of this computer is no TOML</source>
        <translation>ملف سياسة هذا الحاسوب ليس بصيغة TOML</translation>
    </message>
    <message>
        <source>The policy of this computer has a key that is not known: {key}</source>
        <translation>في سياسة هذا الحاسوب مفتاح غير معروف: ‎{key}‎</translation>
    </message>
    <message>
        <source>The policy of this computer is wrong: {key} is not {form}</source>
        <translation>سياسة هذا الحاسوب خاطئة: المطلوب في ‎{key}‎ هو {form}</translation>
    </message>
    <message>
        <source>a whole number from {least} to {most}</source>
        <translation>عدد صحيح من {least} إلى {most}</translation>
    </message>
    <message>
        <source>true or false</source>
        <translation>‎true أو ‎false</translation>
    </message>
    <message>
        <source>an address that begins with https:// or http://</source>
        <translation>عنوان يبدأ بـ https://‎ أو http://‎</translation>
    </message>
    <message>
        <source>an address that begins with https://</source>
        <translation>عنوان يبدأ بـ https://‎</translation>
    </message>
    <message>
        <source>the path of a file</source>
        <translation>مسار ملف</translation>
    </message>
    <message>
        <source>the code of a country such as PT</source>
        <translation>رمز بلد مثل PT</translation>
    </message>
    <message>
        <source>The export was stopped</source>
        <translation>أُوقف التصدير</translation>
    </message>
    <message>
        <source>Nothing was written; start it again whenever you like.</source>
        <translation>لم يُكتب شيء؛ ابدأه من جديد متى شئت.</translation>
    </message>
    <message>
        <source>Name lost ({number})</source>
        <translation>اسم مفقود ({number})</translation>
    </message>
    <message>
        <source>This document on this device is damaged or missing</source>
        <translation>هذا المستند على هذا الجهاز تالف أو مفقود</translation>
    </message>
    <message>
        <source>Add it again from where it came from, then delete this one.</source>
        <translation>أضفه من جديد من مصدره، ثم احذف هذا.</translation>
    </message>
    <message>
        <source>This file is empty</source>
        <translation>هذا الملف فارغ</translation>
    </message>
    <message>
        <source>Choose another one, or save it again.</source>
        <translation>اختر ملفًا آخر، أو احفظه من جديد.</translation>
    </message>
    <message>
        <source>This is not on this device any more</source>
        <translation>لم يعد هذا موجودًا على هذا الجهاز</translation>
    </message>
    <message>
        <source>Look at the list again; it may be among what was deleted.</source>
        <translation>انظر إلى القائمة من جديد؛ فقد يكون ضمن المحذوفات.</translation>
    </message>
    <message>
        <source>This was cancelled</source>
        <translation>أُلغي هذا</translation>
    </message>
    <message>
        <source>Nothing of it was kept. Add it again if you want it kept.</source>
        <translation>لم يُحفظ منه شيء. أضفه من جديد إن أردت حفظه.</translation>
    </message>
    <message>
        <source>The pulse was {bound} /min or less</source>
        <translation>كان النبض {bound} في الدقيقة أو أقل</translation>
    </message>
    <message>
        <source>The pulse was {bound} /min or more</source>
        <translation>كان النبض {bound} في الدقيقة أو أكثر</translation>
    </message>
    <message>
        <source>The respiratory rate was {bound} /min or less</source>
        <translation>كان معدل التنفس {bound} في الدقيقة أو أقل</translation>
    </message>
    <message>
        <source>The respiratory rate was {bound} /min or more</source>
        <translation>كان معدل التنفس {bound} في الدقيقة أو أكثر</translation>
    </message>
    <message>
        <source>The systolic blood pressure was {bound} mmHg or less</source>
        <translation>كان ضغط الدم الانقباضي {bound} ملم زئبق أو أقل</translation>
    </message>
    <message>
        <source>The systolic blood pressure was {bound} mmHg or more</source>
        <translation>كان ضغط الدم الانقباضي {bound} ملم زئبق أو أكثر</translation>
    </message>
    <message>
        <source>The diastolic blood pressure was {bound} mmHg or more</source>
        <translation>كان ضغط الدم الانبساطي {bound} ملم زئبق أو أكثر</translation>
    </message>
    <message>
        <source>The oxygen saturation was {bound} % or less</source>
        <translation>كان تشبع الأكسجين {bound} % أو أقل</translation>
    </message>
    <message>
        <source>The temperature was {bound} °C or less</source>
        <translation>كانت درجة الحرارة {bound} °م أو أقل</translation>
    </message>
    <message>
        <source>Somebody asked for help</source>
        <translation>طلب شخص المساعدة</translation>
    </message>
    <message>
        <source>A reading to look at</source>
        <translation>قراءة للمراجعة</translation>
    </message>
    <message>
        <source>Preview: {name}</source>
        <translation>معاينة: {name}</translation>
    </message>
    <message>
        <source>The page</source>
        <translation>الصفحة</translation>
    </message>
    <message>
        <source>Page before</source>
        <translation>الصفحة السابقة</translation>
    </message>
    <message>
        <source>Next page</source>
        <translation>الصفحة التالية</translation>
    </message>
    <message>
        <source>Smaller</source>
        <translation>تصغير</translation>
    </message>
    <message>
        <source>Larger</source>
        <translation>تكبير</translation>
    </message>
    <message>
        <source>Page {page} of {pages}</source>
        <translation>الصفحة {page} من {pages}</translation>
    </message>
    <message>
        <source>Enrol this device</source>
        <translation>تسجيل هذا الجهاز</translation>
    </message>
    <message>
        <source>Ask the clinic&apos;s administrator for a code. It is good for ten minutes and works once. Nothing is sent before each person has agreed.</source>
        <translation>اطلب من مسؤول العيادة رمزًا. يصلح الرمز عشر دقائق ويُستخدم مرة واحدة. لا يُرسل شيء قبل أن يوافق كل شخص.</translation>
    </message>
    <message>
        <source>Code (spaces and hyphens do not matter):</source>
        <translation>الرمز (لا أهمية للمسافات والشرطات):</translation>
    </message>
    <message>
        <source>Code</source>
        <translation>الرمز</translation>
    </message>
    <message>
        <source>Address of the clinic&apos;s server</source>
        <translation>عنوان خادم العيادة</translation>
    </message>
    <message>
        <source>Address of the clinic&apos;s server:</source>
        <translation>عنوان خادم العيادة:</translation>
    </message>
    <message>
        <source>With the clinic at {server}.</source>
        <translation>لدى العيادة (‎{server}‎).</translation>
    </message>
    <message>
        <source>Enrol</source>
        <translation>تسجيل</translation>
    </message>
    <message>
        <source>Type the code.</source>
        <translation>اكتب الرمز.</translation>
    </message>
    <message>
        <source>Type the address; it begins with https://.</source>
        <translation>اكتب العنوان؛ ويبدأ بـ https://‎.</translation>
    </message>
    <message>
        <source>The clinic&apos;s server is being asked …</source>
        <translation>جارٍ سؤال خادم العيادة …</translation>
    </message>
    <message>
        <source>This device is enrolled already. {clinic} Enrol it anew? The enrolment that it has is replaced once the new code was taken. With another clinic, what waits for this one is held back until the device is back with it.</source>
        <translation>هذا الجهاز مسجّل من قبل. {clinic} هل تريد تسجيله من جديد؟ يُستبدل تسجيله الحالي حالما يُقبل الرمز الجديد. مع عيادة أخرى يُحجز ما ينتظر لهذه العيادة إلى أن يعود الجهاز إليها.</translation>
    </message>
    <message>
        <source>Enrolled already</source>
        <translation>مسجّل من قبل</translation>
    </message>
    <message>
        <source>Enrol it anew</source>
        <translation>تسجيله من جديد</translation>
    </message>
    <message>
        <source>This device is enrolled with the clinic at {server}.</source>
        <translation>هذا الجهاز مسجل لدى العيادة (‎{server}‎).</translation>
    </message>
    <message>
        <source>Leave the clinic at {server}? Nothing is sent any more, and what waits stays on this device. What was sent stays at the clinic, whose administrator should remove this device there too. To come back, a new code is needed.</source>
        <translation>هل تريد مغادرة العيادة (‎{server}‎)؟ لن يُرسل شيء بعد ذلك، وما هو قيد الانتظار يبقى على هذا الجهاز. وما أُرسل يبقى لدى العيادة، وينبغي لمسؤولها أن يزيل هذا الجهاز هناك أيضًا. وللعودة يلزم رمز جديد.</translation>
    </message>
    <message>
        <source>Leave the clinic</source>
        <translation>مغادرة العيادة</translation>
    </message>
    <message>
        <source>This device is enrolled with no clinic any more.</source>
        <translation>لم يعد هذا الجهاز مسجلًا لدى أي عيادة.</translation>
    </message>
    <message>
        <source>To be tried again: {count}.</source>
        <translation>عدد ما ستُعاد محاولته: {count}.</translation>
    </message>
    <message>
        <source>What waits is tried now.</source>
        <translation>تجري الآن محاولة إرسال ما هو قيد الانتظار.</translation>
    </message>
    <message>
        <source>Send also what was kept on this device before it could be sent? Only of people who have agreed to it, and nothing of guests.</source>
        <translation>هل تريد أيضًا إرسال ما حُفظ على هذا الجهاز قبل أن يصبح الإرسال ممكنًا؟ لمن وافقوا على ذلك فقط، ولا يُرسل شيء عن الضيوف.</translation>
    </message>
    <message>
        <source>Send earlier ones</source>
        <translation>إرسال المحفوظات السابقة</translation>
    </message>
    <message>
        <source>Send it</source>
        <translation>إرسال</translation>
    </message>
    <message>
        <source>Waiting to be sent now, of what was kept earlier: {count}.</source>
        <translation>عدد المحفوظات السابقة التي تنتظر الإرسال الآن: {count}.</translation>
    </message>
    <message>
        <source>There is nothing earlier that could be sent of people who have agreed.</source>
        <translation>لا توجد محفوظات سابقة يمكن إرسالها لمن وافقوا.</translation>
    </message>
    <message>
        <source>Data (*.json);;Table (*.csv)</source>
        <translation>بيانات (*.json);;جدول (*.csv)</translation>
    </message>
    <message>
        <source>Save what was refused</source>
        <translation>حفظ ما رُفض</translation>
    </message>
    <message>
        <source>Choose a person at the top first; a guest is asked each time.</source>
        <translation>اختر أولًا شخصًا من الأعلى؛ فالضيف يُسأل في كل مرة.</translation>
    </message>
    <message>
        <source>Nothing more of {name} is sent. What was sent before stays at the clinic until {name} is deleted for ever.</source>
        <translation>لن يُرسل بعد الآن شيء باسم {name}. وما أُرسل من قبل يبقى لدى العيادة إلى أن يُحذف {name} نهائيًا.</translation>
    </message>
    <message>
        <source>What is kept of {name} from now on is sent to the clinic.</source>
        <translation>ما يُحفظ باسم {name} من الآن فصاعدًا يُرسل إلى العيادة.</translation>
    </message>
    <message>
        <source>Nothing more that {name} says to the assistant or asks it is sent.</source>
        <translation>لن يُرسل بعد الآن شيء مما يقوله {name} للمساعد أو يسأله عنه.</translation>
    </message>
    <message>
        <source>What {name} says to the assistant and asks it is sent to the clinic.</source>
        <translation>يُرسل إلى العيادة ما يقوله {name} للمساعد وما يسأله عنه.</translation>
    </message>
    <message>
        <source>Sharing of {name}</source>
        <translation>مشاركة بيانات {name}</translation>
    </message>
    <message>
        <source>Take it back</source>
        <translation>سحب الموافقة</translation>
    </message>
    <message>
        <source>Agree</source>
        <translation>موافقة</translation>
    </message>
    <message>
        <source>Take it back for the assistant</source>
        <translation>سحب الموافقة على المساعد</translation>
    </message>
    <message>
        <source>Decide for the assistant…</source>
        <translation>اتخاذ قرار بشأن المساعد…</translation>
    </message>
    <message>
        <source>Sending to the clinic</source>
        <translation>الإرسال إلى العيادة</translation>
    </message>
    <message>
        <source>The file that is being sent</source>
        <translation>الملف الجاري إرساله</translation>
    </message>
    <message>
        <source>Stop sending this file</source>
        <translation>إيقاف إرسال هذا الملف</translation>
    </message>
    <message>
        <source>Nothing waits and nothing was refused.</source>
        <translation>لا شيء قيد الانتظار ولم يُرفض شيء.</translation>
    </message>
    <message>
        <source>What waits or was refused, the oldest first</source>
        <translation>ما هو قيد الانتظار أو رُفض، الأقدم أولًا</translation>
    </message>
    <message>
        <source>Since</source>
        <translation>منذ</translation>
    </message>
    <message>
        <source>How it stands</source>
        <translation>الحالة</translation>
    </message>
    <message>
        <source>Try this again</source>
        <translation>إعادة محاولة هذا</translation>
    </message>
    <message>
        <source>Try all again</source>
        <translation>إعادة محاولة الكل</translation>
    </message>
    <message>
        <source>Show later ones</source>
        <translation>عرض الأحدث</translation>
    </message>
    <message>
        <source>Export what was refused…</source>
        <translation>تصدير ما رُفض…</translation>
    </message>
    <message>
        <source>Send earlier ones…</source>
        <translation>إرسال المحفوظات السابقة…</translation>
    </message>
    <message>
        <source>Not enrolled</source>
        <translation>غير مسجل</translation>
    </message>
    <message>
        <source>{sent} of {all} MB</source>
        <translation>{sent} من {all} ميغابايت</translation>
    </message>
    <message>
        <source>Readings to look at, the newest first</source>
        <translation>قراءات للمراجعة، الأحدث أولًا</translation>
    </message>
    <message>
        <source>Done: I have looked at it</source>
        <translation>تم: لقد راجعتها</translation>
    </message>
    <message>
        <source>Somebody should look at these readings and at whom they are of. None of them is a diagnosis.</source>
        <translation>ينبغي أن يراجع أحد هذه القراءات وحال أصحابها. وليس أي منها تشخيصًا.</translation>
    </message>
    <message>
        <source>PDF</source>
        <translation>PDF</translation>
    </message>
    <message>
        <source>Picture (PNG)</source>
        <translation>صورة (PNG)</translation>
    </message>
    <message>
        <source>Picture (JPEG)</source>
        <translation>صورة (JPEG)</translation>
    </message>
    <message>
        <source>Data (JSON)</source>
        <translation>بيانات (JSON)</translation>
    </message>
    <message>
        <source>it did not arrive as it was sent</source>
        <translation>لم يصل كما أُرسل</translation>
    </message>
    <message>
        <source>it is of another type than it says</source>
        <translation>هو من نوع غير المذكور فيه</translation>
    </message>
    <message>
        <source>it is damaged</source>
        <translation>هو تالف</translation>
    </message>
    <message>
        <source>it is of a rare kind</source>
        <translation>هو من نوع نادر</translation>
    </message>
    <message>
        <source>something follows behind its end</source>
        <translation>يوجد شيء بعد نهايته</translation>
    </message>
    <message>
        <source>another kind of file is inside it</source>
        <translation>في داخله ملف من نوع آخر</translation>
    </message>
    <message>
        <source>it is locked</source>
        <translation>هو مقفل</translation>
    </message>
    <message>
        <source>it would do something when it is opened</source>
        <translation>ينفذ شيئًا عند فتحه</translation>
    </message>
    <message>
        <source>it grows beyond measure when it is unpacked</source>
        <translation>يتضخم بلا حد عند فك ضغطه</translation>
    </message>
    <message>
        <source>it is too complicated</source>
        <translation>هو معقد جدًا</translation>
    </message>
    <message>
        <source>it has too many pages</source>
        <translation>عدد صفحاته كبير جدًا</translation>
    </message>
    <message>
        <source>it has too many pixels</source>
        <translation>عدد بكسلاته كبير جدًا</translation>
    </message>
    <message>
        <source>it says where it was taken</source>
        <translation>يذكر المكان الذي التُقط فيه</translation>
    </message>
    <message>
        <source>its kind of data is not known</source>
        <translation>نوع بياناته غير معروف</translation>
    </message>
    <message>
        <source>the virus scanner found something</source>
        <translation>وجد برنامج مكافحة الفيروسات شيئًا فيه</translation>
    </message>
    <message>
        <source>1 page</source>
        <translation>صفحة واحدة</translation>
    </message>
    <message>
        <source>{count} pages</source>
        <translation>عدد الصفحات: {count}</translation>
    </message>
    <message>
        <source>{size} MB</source>
        <translation>{size} ميغابايت</translation>
    </message>
    <message>
        <source>Waits to be sent</source>
        <translation>ينتظر الإرسال</translation>
    </message>
    <message>
        <source>Being sent</source>
        <translation>جارٍ الإرسال</translation>
    </message>
    <message>
        <source>Being sent, {percent} %</source>
        <translation>جارٍ الإرسال، {percent} %</translation>
    </message>
    <message>
        <source>Not sent: it was refused</source>
        <translation>لم يُرسل: رُفض</translation>
    </message>
    <message>
        <source>Kept here; not sent for now</source>
        <translation>محفوظ هنا؛ لا يُرسل في الوقت الحالي</translation>
    </message>
    <message>
        <source>Sent; looked at: clean</source>
        <translation>أُرسل؛ وفُحص: سليم</translation>
    </message>
    <message>
        <source>Sent; held back by the clinic</source>
        <translation>أُرسل؛ وتحتجزه العيادة</translation>
    </message>
    <message>
        <source>Sent; held back by the clinic: {reason}</source>
        <translation>أُرسل؛ وتحتجزه العيادة: {reason}</translation>
    </message>
    <message>
        <source>Sent; could not be looked at yet</source>
        <translation>أُرسل؛ ولم يمكن فحصه بعد</translation>
    </message>
    <message>
        <source>Sent; being looked at</source>
        <translation>أُرسل؛ ويجري فحصه</translation>
    </message>
    <message>
        <source>Sent</source>
        <translation>أُرسل</translation>
    </message>
    <message>
        <source>Kept here</source>
        <translation>محفوظ هنا</translation>
    </message>
    <message>
        <source>Not asked yet. Nothing is sent.</source>
        <translation>لم يُسأل بعد. لا يُرسل شيء.</translation>
    </message>
    <message>
        <source>Agreed in writing, noted on {when}. What is kept is sent.</source>
        <translation>وافق كتابيًا، وسُجل ذلك بتاريخ ‎{when}‎. يُرسل ما يُحفظ.</translation>
    </message>
    <message>
        <source>Agreed on {when}. What is kept is sent.</source>
        <translation>وافق بتاريخ ‎{when}‎. يُرسل ما يُحفظ.</translation>
    </message>
    <message>
        <source>Not agreed ({when}). Nothing is sent.</source>
        <translation>لم يوافق (‎{when}‎). لا يُرسل شيء.</translation>
    </message>
    <message>
        <source>Assistant: agreed in writing. What is said to it and asked is sent.</source>
        <translation>المساعد: وافق كتابيًا. يُرسل ما يُقال له وما يُسأل عنه.</translation>
    </message>
    <message>
        <source>Assistant: not asked yet. Nothing that is said to it or asked is sent.</source>
        <translation>المساعد: لم يُسأل بعد. لا يُرسل شيء مما يُقال له أو يُسأل عنه.</translation>
    </message>
    <message>
        <source>Assistant: agreed on {when}. What is said to it and asked is sent.</source>
        <translation>المساعد: وافق بتاريخ ‎{when}‎. يُرسل ما يُقال له وما يُسأل عنه.</translation>
    </message>
    <message>
        <source>Assistant: not agreed ({when}). Nothing that is said to it or asked is sent.</source>
        <translation>المساعد: لم يوافق (‎{when}‎). لا يُرسل شيء مما يُقال له أو يُسأل عنه.</translation>
    </message>
    <message>
        <source>Ask the clinic&apos;s administrator.</source>
        <translation>اسأل مسؤول العيادة.</translation>
    </message>
    <message>
        <source>Install the newest version and try it again. Until then it stays on this device.</source>
        <translation>ثبّت أحدث إصدار وأعد المحاولة. وحتى ذلك الحين يبقى على هذا الجهاز.</translation>
    </message>
    <message>
        <source>Try it again later. If this stays, tell whoever looks after the server.</source>
        <translation>أعد المحاولة لاحقًا. إذا استمر ذلك، فأبلغ المسؤول عن الخادم.</translation>
    </message>
    <message>
        <source>The clinic has something else under the same identifier.</source>
        <translation>لدى العيادة شيء آخر بالمعرّف نفسه.</translation>
    </message>
    <message>
        <source>Export it and tell whoever looks after the server. It stays on this device.</source>
        <translation>صدّره وأبلغ المسؤول عن الخادم. ويبقى على هذا الجهاز.</translation>
    </message>
    <message>
        <source>The server does not take it as it is.</source>
        <translation>لا يقبله الخادم كما هو.</translation>
    </message>
    <message>
        <source>The server does not take it.</source>
        <translation>لا يقبله الخادم.</translation>
    </message>
    <message>
        <source>The data of this person were erased at the clinic, which takes no more of them.</source>
        <translation>مُحيت بيانات هذا الشخص لدى العيادة، ولم تعد تقبل المزيد منها.</translation>
    </message>
    <message>
        <source>It is larger than the clinic takes.</source>
        <translation>حجمه أكبر مما تقبله العيادة.</translation>
    </message>
    <message>
        <source>Add the file again in a smaller form, and delete this one.</source>
        <translation>أضف الملف من جديد بحجم أصغر، واحذف هذا.</translation>
    </message>
    <message>
        <source>The clinic does not take files of this kind.</source>
        <translation>لا تقبل العيادة ملفات من هذا النوع.</translation>
    </message>
    <message>
        <source>Add it again as a PDF or a picture, and delete this one.</source>
        <translation>أضفه من جديد بصيغة PDF أو كصورة، واحذف هذا.</translation>
    </message>
    <message>
        <source>The clinic does not allow this device to send it.</source>
        <translation>لا تسمح العيادة لهذا الجهاز بإرساله.</translation>
    </message>
    <message>
        <source>The server does not know what this is about.</source>
        <translation>لا يعرف الخادم بماذا يتعلق هذا.</translation>
    </message>
    <message>
        <source>The server does not understand what was sent.</source>
        <translation>لا يفهم الخادم ما أُرسل.</translation>
    </message>
    <message>
        <source>It was kept by another version of Health Helper and cannot be sent by this one.</source>
        <translation>حُفظ بإصدار آخر من Health Helper ولا يمكن لهذا الإصدار إرساله.</translation>
    </message>
    <message>
        <source>The clinic has put the file in quarantine: it does not look as it should.</source>
        <translation>وضعت العيادة الملف في الحجر: فهو ليس كما ينبغي.</translation>
    </message>
    <message>
        <source>Look at the file. Add it again in another form, or show it to the staff.</source>
        <translation>انظر إلى الملف. أضفه من جديد بشكل آخر، أو اعرضه على الموظفين.</translation>
    </message>
    <message>
        <source>The server could not look into the file.</source>
        <translation>تعذر على الخادم فحص الملف.</translation>
    </message>
    <message>
        <source>The file on this device is damaged or missing.</source>
        <translation>الملف على هذا الجهاز تالف أو مفقود.</translation>
    </message>
    <message>
        <source>The file is not what it was when it was added.</source>
        <translation>لم يعد الملف كما كان عند إضافته.</translation>
    </message>
    <message>
        <source>Sending it was stopped here.</source>
        <translation>أُوقف إرساله هنا.</translation>
    </message>
    <message>
        <source>It is sent once somebody presses “Try this again”.</source>
        <translation>يُرسل عندما يضغط أحد على «إعادة محاولة هذا».</translation>
    </message>
    <message>
        <source>The clinic has used what it may use this month.</source>
        <translation>استنفدت العيادة ما يحق لها استخدامه هذا الشهر.</translation>
    </message>
    <message>
        <source>Try it again next month, or ask the clinic&apos;s administrator.</source>
        <translation>أعد المحاولة الشهر القادم، أو اسأل مسؤول العيادة.</translation>
    </message>
    <message>
        <source>This computer has no connection to a network.</source>
        <translation>هذا الحاسوب غير متصل بأي شبكة.</translation>
    </message>
    <message>
        <source>Plug the network in or switch it on. It is sent by itself then.</source>
        <translation>وصّل الشبكة أو شغّلها. عندها يُرسل تلقائيًا.</translation>
    </message>
    <message>
        <source>Nobody in this network knows the server&apos;s name.</source>
        <translation>اسم الخادم غير معروف في هذه الشبكة.</translation>
    </message>
    <message>
        <source>The server refuses the connection.</source>
        <translation>يرفض الخادم الاتصال.</translation>
    </message>
    <message>
        <source>The connection broke off.</source>
        <translation>انقطع الاتصال.</translation>
    </message>
    <message>
        <source>There is no way from this network to the server.</source>
        <translation>لا يمكن الوصول من هذه الشبكة إلى الخادم.</translation>
    </message>
    <message>
        <source>The server did not answer in time.</source>
        <translation>لم يرد الخادم في الوقت المحدد.</translation>
    </message>
    <message>
        <source>Sending was ended.</source>
        <translation>أُنهي الإرسال.</translation>
    </message>
    <message>
        <source>It is sent when the program runs again.</source>
        <translation>يُرسل عندما يعمل البرنامج من جديد.</translation>
    </message>
    <message>
        <source>No secure connection to the server can be made in this network.</source>
        <translation>لا يمكن إنشاء اتصال آمن بالخادم في هذه الشبكة.</translation>
    </message>
    <message>
        <source>Log in to the network if it asks for it, or use another one.</source>
        <translation>سجّل الدخول إلى الشبكة إن طلبت ذلك، أو استخدم شبكة أخرى.</translation>
    </message>
    <message>
        <source>The certificate shown for the server is not trusted by this computer.</source>
        <translation>الشهادة المقدمة على أنها شهادة الخادم لا يثق بها هذا الحاسوب.</translation>
    </message>
    <message>
        <source>Ask whoever manages this computer to install the network&apos;s certificate, or use another network.</source>
        <translation>اطلب من المسؤول عن هذا الحاسوب تثبيت شهادة الشبكة، أو استخدم شبكة أخرى.</translation>
    </message>
    <message>
        <source>The certificate shown is for another server.</source>
        <translation>الشهادة المقدمة لخادم آخر.</translation>
    </message>
    <message>
        <source>Log in to the network if it asks for it; else check the server&apos;s address.</source>
        <translation>سجّل الدخول إلى الشبكة إن طلبت ذلك؛ وإلا فتحقق من عنوان الخادم.</translation>
    </message>
    <message>
        <source>The server&apos;s certificate has expired, if this computer&apos;s date is right.</source>
        <translation>انتهت صلاحية شهادة الخادم، إن كان تاريخ هذا الحاسوب صحيحًا.</translation>
    </message>
    <message>
        <source>Check the date and time of this computer.</source>
        <translation>تحقق من تاريخ هذا الحاسوب ووقته.</translation>
    </message>
    <message>
        <source>The certificates that this computer&apos;s policy names could not be read.</source>
        <translation>تعذرت قراءة الشهادات المذكورة في سياسة هذا الحاسوب.</translation>
    </message>
    <message>
        <source>Ask whoever manages this computer to put them right.</source>
        <translation>اطلب من المسؤول عن هذا الحاسوب تصحيحها.</translation>
    </message>
    <message>
        <source>The clock of this computer is wrong.</source>
        <translation>ساعة هذا الحاسوب خاطئة.</translation>
    </message>
    <message>
        <source>Set its date and time.</source>
        <translation>اضبط تاريخه ووقته.</translation>
    </message>
    <message>
        <source>This network wants a login first.</source>
        <translation>تطلب هذه الشبكة تسجيل الدخول أولًا.</translation>
    </message>
    <message>
        <source>The proxy of this network did not let the connection pass.</source>
        <translation>لم يسمح الخادم الوكيل في هذه الشبكة بمرور الاتصال.</translation>
    </message>
    <message>
        <source>Ask whoever manages the network to let this computer reach the server.</source>
        <translation>اطلب من المسؤول عن الشبكة السماح لهذا الحاسوب بالوصول إلى الخادم.</translation>
    </message>
    <message>
        <source>The proxy that is set for this computer cannot be used.</source>
        <translation>لا يمكن استخدام الخادم الوكيل المحدد لهذا الحاسوب.</translation>
    </message>
    <message>
        <source>Ask whoever manages this computer to set another one.</source>
        <translation>اطلب من المسؤول عن هذا الحاسوب تحديد خادم وكيل آخر.</translation>
    </message>
    <message>
        <source>The server could not do it at that moment.</source>
        <translation>لم يستطع الخادم فعل ذلك في تلك اللحظة.</translation>
    </message>
    <message>
        <source>The server took no more at that moment.</source>
        <translation>لم يقبل الخادم المزيد في تلك اللحظة.</translation>
    </message>
    <message>
        <source>The time to send this file was over.</source>
        <translation>انتهت المدة المخصصة لإرسال هذا الملف.</translation>
    </message>
    <message>
        <source>The server&apos;s answer could not be read.</source>
        <translation>تعذرت قراءة رد الخادم.</translation>
    </message>
    <message>
        <source>The server did not accept this device&apos;s sign-in just then.</source>
        <translation>لم يقبل الخادم بيانات دخول هذا الجهاز في تلك اللحظة.</translation>
    </message>
    <message>
        <source>The clinic has ended the enrolment of this device.</source>
        <translation>أنهت العيادة تسجيل هذا الجهاز.</translation>
    </message>
    <message>
        <source>Ask the clinic&apos;s administrator for a new code and enrol it anew.</source>
        <translation>اطلب من مسؤول العيادة رمزًا جديدًا وسجّله من جديد.</translation>
    </message>
    <message>
        <source>The server does not accept this device&apos;s sign-in any more.</source>
        <translation>لم يعد الخادم يقبل بيانات دخول هذا الجهاز.</translation>
    </message>
    <message>
        <source>This device is not enrolled with a clinic.</source>
        <translation>هذا الجهاز غير مسجل لدى أي عيادة.</translation>
    </message>
    <message>
        <source>Ask the clinic&apos;s administrator for a code and enrol it.</source>
        <translation>اطلب من مسؤول العيادة رمزًا وسجّله.</translation>
    </message>
    <message>
        <source>The reason is one of a newer version: {code}. {remedy}</source>
        <translation>السبب يخص إصدارًا أحدث: ‎{code}‎. {remedy}</translation>
    </message>
    <message>
        <source>Not connected</source>
        <translation>غير متصل</translation>
    </message>
    <message>
        <source>Certificate not trusted</source>
        <translation>الشهادة غير موثوقة</translation>
    </message>
    <message>
        <source>The network wants a login</source>
        <translation>الشبكة تطلب تسجيل الدخول</translation>
    </message>
    <message>
        <source>Enrolment ended</source>
        <translation>انتهى التسجيل</translation>
    </message>
    <message>
        <source>Sign-in lost</source>
        <translation>بيانات الدخول غير مقبولة</translation>
    </message>
    <message>
        <source>Key store locked</source>
        <translation>مخزن المفاتيح مقفل</translation>
    </message>
    <message>
        <source>Sending failed</source>
        <translation>تعذر الإرسال</translation>
    </message>
    <message>
        <source>Waits until unlocked</source>
        <translation>في انتظار فتح القفل</translation>
    </message>
    <message>
        <source>Sending to the clinic: {state}</source>
        <translation>الإرسال إلى العيادة: {state}</translation>
    </message>
    <message>
        <source>Refused: {count}</source>
        <translation>المرفوض: {count}</translation>
    </message>
    <message>
        <source>All sent</source>
        <translation>أُرسل الكل</translation>
    </message>
    <message>
        <source>Sending {count}</source>
        <translation>جارٍ إرسال {count}</translation>
    </message>
    <message>
        <source>{count} waiting</source>
        <translation>قيد الانتظار: {count}</translation>
    </message>
    <message>
        <source>Waiting: {count}. Refused: {refused}.</source>
        <translation>قيد الانتظار: {count}. المرفوض: {refused}.</translation>
    </message>
    <message>
        <source>Held back: {count} (deleted and can be put back, or for another clinic).</source>
        <translation>المحتجز: {count} (محذوف يمكن استعادته، أو يخص عيادة أخرى).</translation>
    </message>
    <message>
        <source>Nothing was sent yet.</source>
        <translation>لم يُرسل شيء بعد.</translation>
    </message>
    <message>
        <source>Last sent: time unknown.</source>
        <translation>آخر إرسال: وقته غير معروف.</translation>
    </message>
    <message>
        <source>Last sent: {when}.</source>
        <translation>آخر إرسال: ‎{when}‎.</translation>
    </message>
    <message>
        <source>Another program of Health Helper on this computer is sending. Nothing has to be done.</source>
        <translation>برنامج آخر من Health Helper على هذا الحاسوب يقوم بالإرسال. لا يلزم فعل شيء.</translation>
    </message>
    <message>
        <source>This device is enrolled with no clinic. Nothing is sent.</source>
        <translation>هذا الجهاز غير مسجل لدى أي عيادة. لا يُرسل شيء.</translation>
    </message>
    <message>
        <source>Waits</source>
        <translation>قيد الانتظار</translation>
    </message>
    <message>
        <source>Is being sent</source>
        <translation>جارٍ إرساله</translation>
    </message>
    <message>
        <source>Put aside</source>
        <translation>وُضع جانبًا</translation>
    </message>
    <message>
        <source>Held back</source>
        <translation>محتجز</translation>
    </message>
    <message>
        <source>Erasure of all that was sent of somebody</source>
        <translation>محو كل ما أُرسل من بيانات شخص</translation>
    </message>
    <message>
        <source>Tried {count} times.</source>
        <translation>عدد المحاولات: {count}.</translation>
    </message>
    <message>
        <source>Somebody</source>
        <translation>شخص ما</translation>
    </message>
    <message>
        <source>One value is outside the range for which nobody has to look: {why}. That is no diagnosis. Please show it to the staff, or to a nurse or doctor. If you feel unwell, tell somebody near you or call for help at once.</source>
        <translation>إحدى القيم خارج المجال الذي لا يستدعي مراجعة: {why}. هذا ليس تشخيصًا. يُرجى عرضها على الموظفين، أو على ممرض أو طبيب. إن كنت تشعر بتوعك، فأخبر شخصًا قريبًا منك أو اطلب المساعدة فورًا.</translation>
    </message>
    <message>
        <source>It may help to sit still for five minutes and to measure again.</source>
        <translation>قد يفيد أن تجلس دون حركة خمس دقائق ثم تعيد القياس.</translation>
    </message>
    <message>
        <source>For staff ({count})</source>
        <translation>للموظفين ({count})</translation>
    </message>
    <message>
        <source>Answered on this device: the store is locked.</source>
        <translation>أُجيب على هذا الجهاز: مخزن البيانات مقفل.</translation>
    </message>
    <message>
        <source>Answered on this device: it belongs to no clinic.</source>
        <translation>أُجيب على هذا الجهاز: فهو لا يتبع أي عيادة.</translation>
    </message>
    <message>
        <source>The policy of this computer names no FHIR server</source>
        <translation>لا تذكر سياسة هذا الحاسوب أي خادم FHIR</translation>
    </message>
    <message>
        <source>Whoever manages this computer sets fhir_url in {file}.</source>
        <translation>من يدير هذا الحاسوب يضبط fhir_url في {file}.</translation>
    </message>
    <message>
        <source>What the assistant says cannot be read ({why})</source>
        <translation>تعذّرت قراءة ما يقوله المساعد ({why})</translation>
    </message>
    <message>
        <source>The rules that notice emergencies cannot be read ({why})</source>
        <translation>تعذّرت قراءة القواعد التي تنتبه إلى الطوارئ ({why})</translation>
    </message>
    <message>
        <source>There are no rules for the language {code}</source>
        <translation>لا توجد قواعد للغة {code}</translation>
    </message>
    <message>
        <source>Choose one of: {codes}.</source>
        <translation>اختر واحدة من: {codes}.</translation>
    </message>
    <message>
        <source>Nothing was noticed. That does not mean that nothing is wrong.</source>
        <translation>لم يُلاحظ شيء. هذا لا يعني أنه لا توجد مشكلة.</translation>
    </message>
    <message>
        <source>Line {number} of standard input is not as agreed</source>
        <translation>السطر {number} من الإدخال القياسي ليس كما اتُّفق عليه</translation>
    </message>
    <message>
        <source>Give lines such as {example}.</source>
        <translation>أعطِ أسطرًا مثل {example}.</translation>
    </message>
    <message>
        <source>No loudspeaker was found</source>
        <translation>لم يُعثر على أي مكبّر صوت</translation>
    </message>
    <message>
        <source>Plug one in, or switch it on. Until then answers are only shown.</source>
        <translation>وصّل واحدًا أو شغّله. حتى ذلك الحين تُعرض الإجابات فقط.</translation>
    </message>
    <message>
        <source>Close other programs that use it, then try again. Until then answers are only shown.</source>
        <translation>أغلق البرامج الأخرى التي تستخدمه ثم حاول مرة أخرى. حتى ذلك الحين تُعرض الإجابات فقط.</translation>
    </message>
    <message>
        <source>The loudspeaker was unplugged, or the sound system has stopped</source>
        <translation>فُصل مكبّر الصوت أو توقف نظام الصوت</translation>
    </message>
    <message>
        <source>Plug it in again. Until then answers are only shown.</source>
        <translation>وصّله مرة أخرى. حتى ذلك الحين تُعرض الإجابات فقط.</translation>
    </message>
    <message>
        <source>Nothing could be sent when it was last tried ({code})</source>
        <translation>لم يمكن إرسال شيء في آخر محاولة ({code})</translation>
    </message>
    <message>
        <source>Try it now, to see why: health-helper sync --once.</source>
        <translation>جرّبه الآن لمعرفة السبب: health-helper sync --once.</translation>
    </message>
    <message>
        <source>--begin-anew stands alone</source>
        <translation>‏--begin-anew وحده</translation>
    </message>
    <message>
        <source>Write it behind --repair.</source>
        <translation>اكتبه بعد --repair.</translation>
    </message>
    <message>
        <source>The articles cannot be read ({why})</source>
        <translation>تعذّرت قراءة المقالات ({why})</translation>
    </message>
    <message>
        <source>{file} cannot be read</source>
        <translation>لا يمكن قراءة الملف {file}</translation>
    </message>
    <message>
        <source>{file} is not as agreed</source>
        <translation>الملف {file} ليس كما اتُّفق عليه</translation>
    </message>
    <message>
        <source>{file} is not the listed one and is refused</source>
        <translation>الملف {file} ليس هو المذكور في القائمة، لذلك رُفض</translation>
    </message>
    <message>
        <source>{file} is no list of tokens</source>
        <translation>الملف {file} ليس قائمة رموز (tokens)</translation>
    </message>
    <message>
        <source>Speech cannot be understood on this device: {why}</source>
        <translation>لا يمكن فهم الكلام على هذا الجهاز، السبب: {why}</translation>
    </message>
    <message>
        <source>Whoever manages this computer puts the model into its folder again. Typing works.</source>
        <translation>من يدير هذا الحاسوب يضع النموذج في مجلده من جديد. الكتابة تعمل.</translation>
    </message>
    <message>
        <source>the library sherpa-onnx is missing</source>
        <translation>المكتبة sherpa-onnx مفقودة</translation>
    </message>
    <message>
        <source>the model cannot be loaded ({kind})</source>
        <translation>لا يمكن تحميل النموذج ({kind})</translation>
    </message>
    <message>
        <source>on this device</source>
        <translation>على هذا الجهاز</translation>
    </message>
    <message>
        <source>What was said could not be understood on this device</source>
        <translation>تعذر على هذا الجهاز فهم ما قيل</translation>
    </message>
    <message>
        <source>Say it again, or type it.</source>
        <translation>قله مرة أخرى أو اكتبه.</translation>
    </message>
    <message>
        <source>this device&apos;s voice</source>
        <translation>صوت هذا الجهاز</translation>
    </message>
    <message>
        <source>Nothing on this device can read this aloud</source>
        <translation>لا شيء على هذا الجهاز يستطيع قراءة هذا بصوت عالٍ</translation>
    </message>
    <message>
        <source>Install espeak-ng, or a voice of the system for this language. The answer is shown.</source>
        <translation>ثبّت espeak-ng أو أحد أصوات النظام لهذه اللغة. الإجابة معروضة.</translation>
    </message>
    <message>
        <source>The clinic&apos;s voice sent no sound</source>
        <translation>لم يُرسل صوت العيادة أي مقطع صوتي</translation>
    </message>
    <message>
        <source>The answer is shown; try again later.</source>
        <translation>الإجابة معروضة؛ أعد المحاولة لاحقًا.</translation>
    </message>
    <message>
        <source>{file} cannot be read as sentences</source>
        <translation>لا يمكن قراءة الملف {file} بوصفه جملًا</translation>
    </message>
    <message>
        <source>Each line is an object with text and level.</source>
        <translation>كل سطر كائن فيه text وlevel.</translation>
    </message>
    <message>
        <source>Answered on this device, as whoever manages this computer has set it.</source>
        <translation>أُجيب على هذا الجهاز، كما حدّده المسؤول عن هذا الحاسوب.</translation>
    </message>
    <message>
        <source>the clinic&apos;s voice</source>
        <translation>صوت العيادة</translation>
    </message>
    <message>
        <source>the clinic&apos;s</source>
        <translation>من العيادة</translation>
    </message>
    <message>
        <source>Listening has failed, by a bug of Health Helper&apos;s own. Typing works.</source>
        <translation>تعذر الاستماع بسبب خطأ داخلي في Health Helper. الكتابة تعمل.</translation>
    </message>
    <message>
        <source>The microphone gives perfect silence. Switch it on, raise its level in the system&apos;s sound settings, or allow this program to use it.</source>
        <translation>لا يصل من الميكروفون إلا صمت تام. شغّله، أو ارفع مستواه في إعدادات الصوت في النظام، أو اسمح لهذا البرنامج باستخدامه.</translation>
    </message>
    <message>
        <source>Reading aloud has failed, by a bug of Health Helper&apos;s own.</source>
        <translation>تعذرت القراءة بصوت عالٍ بسبب خطأ داخلي في Health Helper.</translation>
    </message>
    <message>
        <source>The answer is shown.</source>
        <translation>الإجابة معروضة.</translation>
    </message>
    <message>
        <source>This failed, by a bug of Health Helper&apos;s own. Try again.</source>
        <translation>تعذر ذلك بسبب خطأ داخلي في Health Helper. أعد المحاولة.</translation>
    </message>
    <message>
        <source>Nothing was heard. Hold the button down while you speak.</source>
        <translation>لم يُسمع شيء. أبقِ الزر مضغوطًا وأنت تتكلم.</translation>
    </message>
    <message>
        <source>What was said could not be understood. Say it again, or type it.</source>
        <translation>تعذر فهم ما قيل. قله مرة أخرى أو اكتبه.</translation>
    </message>
    <message>
        <source>This failed, by a bug of Health Helper&apos;s own.</source>
        <translation>تعذر ذلك بسبب خطأ داخلي في Health Helper.</translation>
    </message>
    <message>
        <source>What you said could not be checked for an emergency, so it is not answered. If you feel very ill, call the emergency number or a member of staff now. {why}</source>
        <translation>تعذر التحقق مما إذا كان ما قلته حالة طارئة، لذلك لا يُجاب عنه. إن كنت تشعر بأنك مريض جدًا، فاتصل الآن على رقم الطوارئ أو نادِ أحد الموظفين. {why}</translation>
    </message>
    <message>
        <source>The answer is not whole.</source>
        <translation>الإجابة غير كاملة.</translation>
    </message>
    <message>
        <source>The answer was stopped.</source>
        <translation>أُوقفت الإجابة.</translation>
    </message>
    <message>
        <source>It can be asked again now.</source>
        <translation>يمكن سؤالها من جديد الآن.</translation>
    </message>
    <message>
        <source>Answered on this device: nobody has agreed to ask the clinic&apos;s cloud yet.</source>
        <translation>أُجيب على هذا الجهاز: لم يوافق أحد بعد على سؤال سحابة العيادة.</translation>
    </message>
    <message>
        <source>Answered on this device, as you wish.</source>
        <translation>أُجيب على هذا الجهاز، كما ترغب.</translation>
    </message>
    <message>
        <source>Answered on this device: the clinic&apos;s cloud has too much to do just now.</source>
        <translation>أُجيب على هذا الجهاز: لدى سحابة العيادة ضغط كبير الآن.</translation>
    </message>
    <message>
        <source>Answered on this device: the clinic&apos;s cloud did not answer just now.</source>
        <translation>أُجيب على هذا الجهاز: لم ترد سحابة العيادة الآن.</translation>
    </message>
    <message>
        <source>Nobody can be told from here. Speak to a member of staff, or ask somebody near you.</source>
        <translation>لا يمكن إبلاغ أحد من هنا. تحدث إلى أحد الموظفين، أو اطلب المساعدة من شخص قريب منك.</translation>
    </message>
    <message>
        <source>Nothing here can make text of speech now. Please type.</source>
        <translation>لا شيء هنا يستطيع الآن تحويل الكلام إلى نص. يُرجى الكتابة.</translation>
    </message>
    <message>
        <source>The clinic&apos;s cloud has too much to do. It can be asked again in {seconds} s.</source>
        <translation>لدى سحابة العيادة ضغط كبير. يمكن سؤالها من جديد بعد {seconds} ث.</translation>
    </message>
    <message>
        <source>The clinic&apos;s cloud has too much to do. It can be asked again in {minutes} min.</source>
        <translation>لدى سحابة العيادة ضغط كبير. يمكن سؤالها من جديد بعد {minutes} د.</translation>
    </message>
    <message>
        <source>The clinic&apos;s cloud did not answer in full; this device has answered itself.</source>
        <translation>لم ترد سحابة العيادة ردًا كاملًا؛ فأجاب هذا الجهاز بنفسه.</translation>
    </message>
    <message>
        <source>The clinic&apos;s cloud had nothing to say; this device has answered itself.</source>
        <translation>لم يكن لدى سحابة العيادة ما تقوله؛ فأجاب هذا الجهاز بنفسه.</translation>
    </message>
    <message>
        <source>A part of the clinic&apos;s answer could not be proved and is not shown; this device has answered itself.</source>
        <translation>تعذر إثبات جزء من إجابة العيادة فلم يُعرض؛ وأجاب هذا الجهاز بنفسه.</translation>
    </message>
    <message>
        <source>Type</source>
        <translation>الكتابة</translation>
    </message>
    <message>
        <source>Press a button and talk</source>
        <translation>الضغط على زر والتكلم</translation>
    </message>
    <message>
        <source>Just talk</source>
        <translation>التكلم فقط</translation>
    </message>
    <message>
        <source>Switch the microphone on</source>
        <translation>تشغيل الميكروفون</translation>
    </message>
    <message>
        <source>Switch the microphone off</source>
        <translation>إيقاف الميكروفون</translation>
    </message>
    <message>
        <source>Ask again in {seconds} s</source>
        <translation>إعادة السؤال بعد {seconds} ث</translation>
    </message>
    <message>
        <source>Ask again in {minutes} min</source>
        <translation>إعادة السؤال بعد {minutes} د</translation>
    </message>
    <message>
        <source>Staff can see on this device that you asked for help. If nobody comes soon, ask somebody near you.</source>
        <translation>يمكن للعاملين أن يروا على هذا الجهاز أنك طلبت المساعدة. إن لم يأتِ أحد قريبًا فاطلب المساعدة من شخص بقربك.</translation>
    </message>
    <message>
        <source>Call your local emergency number</source>
        <translation>اتصل على رقم الطوارئ المحلي</translation>
    </message>
    <message>
        <source>Call {number}</source>
        <translation>اتصل على {number}</translation>
    </message>
    <message>
        <source>If it gets worse, call {number}</source>
        <translation>إذا ساءت الحالة فاتصل على {number}</translation>
    </message>
    <message>
        <source>This may be an emergency</source>
        <translation>قد تكون هذه حالة طارئة</translation>
    </message>
    <message>
        <source>This should be looked at soon</source>
        <translation>ينبغي فحص هذا قريبًا</translation>
    </message>
    <message>
        <source>I hear you …</source>
        <translation>أسمعك …</translation>
    </message>
    <message>
        <source>One moment …</source>
        <translation>لحظة …</translation>
    </message>
    <message>
        <source>Answering …</source>
        <translation>جارٍ الرد …</translation>
    </message>
    <message>
        <source>Reading aloud. Stop it with the button, or by speaking.</source>
        <translation>جارٍ القراءة بصوت عالٍ. أوقفها بالزر أو بالكلام.</translation>
    </message>
    <message>
        <source>Reading aloud.</source>
        <translation>جارٍ القراءة بصوت عالٍ.</translation>
    </message>
    <message>
        <source>Read the message first.</source>
        <translation>اقرأ الرسالة أولًا.</translation>
    </message>
    <message>
        <source>The microphone is off.</source>
        <translation>الميكروفون متوقف.</translation>
    </message>
    <message>
        <source>Speak now.</source>
        <translation>تكلم الآن.</translation>
    </message>
    <message>
        <source>Hold the button while you talk, or press it before and after.</source>
        <translation>أبقِ الزر مضغوطًا وأنت تتكلم، أو اضغط عليه قبل الكلام وبعده.</translation>
    </message>
    <message>
        <source>Listening. Say something whenever you like.</source>
        <translation>جارٍ الاستماع. قل شيئًا متى شئت.</translation>
    </message>
    <message>
        <source>Heard by: {name}.</source>
        <translation>التعرّف على الكلام: {name}.</translation>
    </message>
    <message>
        <source>Answered by: {name}.</source>
        <translation>الإجابات: {name}.</translation>
    </message>
    <message>
        <source>Read aloud by: {name}.</source>
        <translation>القراءة بصوت عالٍ: {name}.</translation>
    </message>
    <message>
        <source>Microphone: {name}.</source>
        <translation>الميكروفون: {name}.</translation>
    </message>
    <message>
        <source>Broken off here.</source>
        <translation>انقطعت الإجابة هنا.</translation>
    </message>
    <message>
        <source>You</source>
        <translation>أنت</translation>
    </message>
    <message>
        <source>Important</source>
        <translation>مهم</translation>
    </message>
    <message>
        <source>Assistant, on this device</source>
        <translation>المساعد، على هذا الجهاز</translation>
    </message>
    <message>
        <source>Assistant, from the clinic</source>
        <translation>المساعد، من العيادة</translation>
    </message>
    <message>
        <source>Source {id}, a measurement: {title}</source>
        <translation>المصدر {id}، قياس: {title}</translation>
    </message>
    <message>
        <source>Source {id}, a document: {title}</source>
        <translation>المصدر {id}، مستند: {title}</translation>
    </message>
    <message>
        <source>Source {id}: {title}</source>
        <translation>المصدر {id}: {title}</translation>
    </message>
    <message>
        <source>This has {count} letters; at most {most} can be asked at once.</source>
        <translation>عدد الأحرف هنا {count}؛ والحد الأقصى للسؤال الواحد {most}.</translation>
    </message>
    <message>
        <source>May what you say to the assistant and ask it be sent to the clinic?</source>
        <translation>هل يجوز أن يُرسل إلى العيادة ما تقوله للمساعد وما تسأله عنه؟</translation>
    </message>
    <message>
        <source>What is sent: what you say, as sound, to be written down; what you say and type, as text; the last measurements; the documents that you agreed to send; and your age as a range of years.</source>
        <translation>ما يُرسل: ما تقوله، صوتًا، لتحويله إلى كتابة؛ وما تقوله وتكتبه، نصًا؛ وآخر القياسات؛ والمستندات التي وافقت على إرسالها؛ وعمرك ضمن مجال من السنوات.</translation>
    </message>
    <message>
        <source>What is never sent: your name, your record number, and the pictures of a scan.</source>
        <translation>ما لا يُرسل أبدًا: اسمك ورقم ملفك الطبي وصور القياس.</translation>
    </message>
    <message>
        <source>If you say no, you type or are understood on this device only, and the answers come from this device.</source>
        <translation>إذا رفضت، فإنك تكتب أو يُفهم كلامك على هذا الجهاز فقط، وتأتي الإجابات من هذا الجهاز.</translation>
    </message>
    <message>
        <source>Forget this conversation</source>
        <translation>محو هذه المحادثة</translation>
    </message>
    <message>
        <source>Forget all that was said here? It can&apos;t be brought back. What staff were told stays with them.</source>
        <translation>هل تريد محو كل ما قيل هنا؟ لا يمكن استعادته. وما أُبلغ به الموظفون يبقى لديهم.</translation>
    </message>
    <message>
        <source>Forget it</source>
        <translation>محوها</translation>
    </message>
    <message>
        <source>Somebody here was told that they may need help at once, and did not say that they had read it.</source>
        <translation>أُبلغ شخص هنا بأنه قد يحتاج إلى المساعدة فورًا، ولم يؤكد أنه قرأ ذلك.</translation>
    </message>
    <message>
        <source>Speed of reading aloud</source>
        <translation>سرعة القراءة</translation>
    </message>
    <message>
        <source>Voice</source>
        <translation>الصوت</translation>
    </message>
    <message>
        <source>Try how it is read aloud</source>
        <translation>تجربة القراءة بصوت عالٍ</translation>
    </message>
    <message>
        <source>So the assistant reads its answers aloud, and what may be an emergency. Where the clinic&apos;s voice reads, only the speed holds.</source>
        <translation>هكذا يقرأ المساعد إجاباته بصوت عالٍ، وكذلك ما قد يكون حالة طارئة. وحين يقرأ صوت العيادة لا تسري إلا السرعة.</translation>
    </message>
    <message>
        <source>The system&apos;s choice</source>
        <translation>ما يختاره النظام</translation>
    </message>
    <message>
        <source>This is how it is read aloud. Your heart rate was 72 beats a minute.</source>
        <translation>هكذا تُقرأ الإجابات بصوت عالٍ. كان معدل ضربات قلبك 72 نبضة في الدقيقة.</translation>
    </message>
    <message>
        <source>Stop reading</source>
        <translation>إيقاف القراءة</translation>
    </message>
    <message>
        <source>This device has no voice for this language. Install espeak-ng, or a voice of the system for it.</source>
        <translation>لا يوجد على هذا الجهاز صوت لهذه اللغة. ثبّت espeak-ng أو صوتًا من النظام لها.</translation>
    </message>
    <message>
        <source>I have read this</source>
        <translation>قرأت هذا</translation>
    </message>
    <message>
        <source>Your question</source>
        <translation>سؤالك</translation>
    </message>
    <message>
        <source>Type your question. Enter sends it.</source>
        <translation>اكتب سؤالك. يُرسل بمفتاح Enter.</translation>
    </message>
    <message>
        <source>Stop talking</source>
        <translation>إنهاء الكلام</translation>
    </message>
    <message>
        <source>Talk</source>
        <translation>تكلم</translation>
    </message>
    <message>
        <source>Did this help?</source>
        <translation>هل أفادك هذا؟</translation>
    </message>
    <message>
        <source>Yes</source>
        <translation>نعم</translation>
    </message>
    <message>
        <source>Yes, this helped</source>
        <translation>نعم، أفادني هذا</translation>
    </message>
    <message>
        <source>No</source>
        <translation>لا</translation>
    </message>
    <message>
        <source>No, this did not help</source>
        <translation>لا، لم يفدني هذا</translation>
    </message>
    <message>
        <source>Read aloud</source>
        <translation>قراءة صوتية</translation>
    </message>
    <message>
        <source>Conversation</source>
        <translation>المحادثة</translation>
    </message>
    <message>
        <source>Ask about what was measured here, or what the numbers mean.</source>
        <translation>اسأل عما قيس هنا، أو عن معنى الأرقام.</translation>
    </message>
    <message>
        <source>To the newest</source>
        <translation>إلى الأحدث</translation>
    </message>
    <message>
        <source>You, just now</source>
        <translation>أنت، الآن</translation>
    </message>
</context>
</TS>
